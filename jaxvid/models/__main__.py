"""Prints the networks, their cost and their references.

    python -m jaxvid.models [--markdown | --sites="video_resnet r2plus1d_18" | --activations=FILE.png]

GFLOPs are billions of operations for the logits of one clip: convolutions and matrix products, two for a multiplication
and its addition. `--sites` lists the activation sites of a model instead, the names that `config.activations.sites`
takes, with the function that each starts with. `--activations` draws all activations with their derivatives instead.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from tqdm import tqdm

from jaxvid import commands
from jaxvid.tables import aligned, in_markdown

_MARKDOWN = flags.DEFINE_bool("markdown", False, "print a Markdown table")
_SITES = flags.DEFINE_string("sites", "", "list the activation sites of this model of the table instead")
_ACTIVATIONS = flags.DEFINE_string(
    "activations", "", "draw the activations and their derivatives into this file instead"
)

_HEADER = ("model", "input", "parameters (trainable)", "GFLOPs", "checked against")
_RIGHT_ALIGNED = (False, False, True, True, False)


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.models import activation_plot, zoo

    if _ACTIVATIONS.value:
        activation_plot.draw_activations(Path(_ACTIVATIONS.value))
        print(f"Written: {_ACTIVATIONS.value}")
        return

    if _SITES.value:
        print("\n".join(f"{site}  {function}" for site, function in zoo.sites_of(_SITES.value).items()))
        return
    rows = [zoo.table_row(entry) for entry in tqdm(list(zoo.entries()), "Tracing", unit="model", leave=False)]
    lines = in_markdown if _MARKDOWN.value else aligned
    print("\n".join(lines([_HEADER, *rows], _RIGHT_ALIGNED)))


if __name__ == "__main__":
    commands.run(main)
