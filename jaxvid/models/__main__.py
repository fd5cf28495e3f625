"""Prints the networks, their cost and their references; or one network, layer by layer.

    python -m jaxvid.models [--markdown]
    python -m jaxvid.models "lrcn" [--diagram=FILE.svg] [--depth=N]
    python -m jaxvid.models "video_resnet:variant=r2plus1d_18,activation=elu" [--clip=16x112x112]
    python -m jaxvid.models --config=configs/NAME.py[:key=value,...]
    python -m jaxvid.models --sites="video_resnet r2plus1d_18"
    python -m jaxvid.models --activations=FILE.png

A network is one of the table ("video_resnet r2plus1d_18"), a name with fields as `jaxvid.create_model` takes them
(items of a field joined with +), or that of a config. Its layers are printed with their outputs for one clip
(dimensions of 1 are left out), trained parameters and operations; `--diagram` draws it from the input to the classes.

GFLOPs are billions of operations for the logits of one clip: convolutions and matrix products, two for a multiplication
and its addition. `--sites` lists the activation sites of a model instead, the names that `config.activations.sites`
takes, with the function that each starts with. `--activations` draws all activations with their derivatives instead.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from jaxvid import commands
from jaxvid.tables import aligned, in_markdown

_CONFIG = config_flags.DEFINE_config_file("config", None, "the network of this config file, with its string argument")
_CLIP = flags.DEFINE_string(
    "clip", "", "frames, height and width of a clip, such as 16x112x112; by default the model's"
)
_DEPTH = flags.DEFINE_integer(
    "depth",
    0,
    "levels of modules: 0 for all in the table, and for as many as are readable in the diagram",
    lower_bound=0,
)
_DIAGRAM = flags.DEFINE_string("diagram", "", "draw the network into this file: .svg, .png or .pdf, for example")
_MARKDOWN = flags.DEFINE_bool("markdown", False, "print a Markdown table")
_SITES = flags.DEFINE_string("sites", "", "list the activation sites of this model of the table instead")
_ACTIVATIONS = flags.DEFINE_string(
    "activations", "", "draw the activations and their derivatives into this file instead"
)

_HEADER = ("model", "input", "parameters (trainable)", "GFLOPs", "checked against")
_RIGHT_ALIGNED = (False, False, True, True, False)


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments([*argv[:1], *argv[2:]])
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.models import activation_plot, zoo

    if _ACTIVATIONS.value:
        activation_plot.draw_activations(Path(_ACTIVATIONS.value))
        print(f"Written: {_ACTIVATIONS.value}")
        return
    if _SITES.value:
        print("\n".join(f"{site}  {function}" for site, function in zoo.sites_of(_SITES.value).items()))
        return
    if argv[1:] or _CONFIG.value is not None:
        _summarize(argv[1:])
        return
    for name, value in (("--diagram", _DIAGRAM.value), ("--clip", _CLIP.value)):
        if value:
            raise ValueError(f"{name} is {value!r}, which needs a model: python -m jaxvid.models NAME {name}=...")
    rows = [zoo.table_row(entry) for entry in tqdm(list(zoo.entries()), "Tracing", unit="model", leave=False)]
    _print_table([_HEADER, *rows], _RIGHT_ALIGNED)


def _summarize(names: Sequence[str]) -> None:
    from jaxvid.models import diagram, summary, zoo

    if names and _CONFIG.value is not None:
        raise ValueError(f"the model is {names[0]!r} and --config is given; allowed: one of both")
    if _CONFIG.value is not None and _CLIP.value:
        raise ValueError(f"--clip is {_CLIP.value!r}, and the config has another; change --config.clip.num_frames etc.")
    entry = zoo.named_entry(names[0], _CLIP.value) if names else zoo.config_entry(_CONFIG.value)
    traced = summary.trace(entry.model, entry.clip)
    if _DIAGRAM.value:
        diagram.draw_diagram(traced, entry.label, Path(_DIAGRAM.value), _DEPTH.value)
    _print_table(summary.table(traced, _DEPTH.value), summary.RIGHT_ALIGNED)
    if _DIAGRAM.value:
        print(f"Written: {_DIAGRAM.value}")


def _print_table(rows: Sequence[Sequence[str]], right_aligned: Sequence[bool]) -> None:
    lines = in_markdown if _MARKDOWN.value else aligned
    print("\n".join(lines(rows, right_aligned)))


if __name__ == "__main__":
    commands.run(main)
