"""Prints the networks, their cost and their references.

    python -m jaxvid.models [--markdown | --sites="video_resnet r2plus1d_18"]

GFLOPs are billions of operations for the logits of one clip: convolutions and matrix products, two for a multiplication
and its addition. `--sites` lists the activation sites of a model instead, the names that `config.activations.sites`
takes, with the function that each starts with.
"""

from collections.abc import Sequence

from absl import flags
from tqdm import tqdm

from jaxvid import commands
from jaxvid.models import zoo
from jaxvid.models.activations import activation_sites
from jaxvid.tables import aligned, in_markdown

_MARKDOWN = flags.DEFINE_bool("markdown", False, "print a Markdown table")

_SITES = flags.DEFINE_string("sites", "", "a model of the table, whose activation sites to list")

_HEADER = ("model", "input", "parameters (trainable)", "GFLOPs", "checked against")
_RIGHT_ALIGNED = (False, False, True, True, False)

Row = tuple[str, str, str, str, str]


def row(entry: zoo.Entry) -> Row:
    """Returns the row of the table for one network."""
    variables = zoo.variable_shapes(entry)
    time, height, width, _ = entry.clip
    return (
        entry.label,
        f"{time} x {height}x{width}",
        f"{zoo.num_parameters(variables):,}",
        f"{zoo.inference_flops(entry, variables) / 1e9:.2f}",
        entry.reference,
    )


def _sites(label: str) -> dict[str, str]:
    entries = {entry.label: entry for entry in zoo.entries()}
    if label not in entries:
        raise ValueError(f"--sites is {label!r}; allowed: {', '.join(entries)}")
    return activation_sites(entries[label].model, entries[label].clip)


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    del argv
    if _SITES.value:
        print("\n".join(f"{site}  {function}" for site, function in _sites(_SITES.value).items()))
        return
    rows = [row(entry) for entry in tqdm(list(zoo.entries()), "Tracing", unit="model", leave=False)]
    lines = in_markdown if _MARKDOWN.value else aligned
    print("\n".join(lines([_HEADER, *rows], _RIGHT_ALIGNED)))


if __name__ == "__main__":
    commands.run(main)
