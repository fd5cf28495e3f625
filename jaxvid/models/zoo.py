"""Every network of this package, its cost and its reference; and networks as commands name them."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvid.config import parse_arg
from jaxvid.models.activations import activation_sites
from jaxvid.models.backbones import BACKBONES
from jaxvid.models.clip_model import ClipModel, check_choice
from jaxvid.models.cnn_lstm import ARCHITECTURES
from jaxvid.models.create import MODELS, Variables, create_module, module_from_config
from jaxvid.models.flops import flops
from jaxvid.models.video_resnet import VARIANTS
from jaxvid.types import ConfigDict


class Entry(NamedTuple):
    """A network at the size of its config.

    Attributes:
      label: the key in `jaxvid.models.create.MODELS`, and the variant.
      model: the module.
      clip: time, height, width and channels of its input.
      reference: what the tests compare it with.
    """

    label: str
    model: ClipModel
    clip: tuple[int, int, int, int]
    reference: str


_VIDEO_RESNET_REFERENCES = {
    "r2plus1d_10": "parameters counted by hand",
    "r2plus1d_18": "torchvision: outputs within 1e-3 relative",
    "r2plus1d_34": "the authors' model zoo: parameters",
    "r3d_18": "torchvision: parameters",
    "mc3_18": "torchvision: parameters",
}
_SHDN_REFERENCES = {"C10R1D3": "paper 1.1: parameters"}


def entries() -> Iterator[Entry]:
    """Every network, at the sizes of the configs; of two classes, those of papers 1.3 and 1.4 of six and four.

    C3D has UCF101's 101 classes.
    """
    for arch in ARCHITECTURES:
        yield _entry("cnn_lstm", _SHDN_REFERENCES.get(arch, "parameters counted by hand"), arch=arch)
    for backbone in BACKBONES:
        yield _entry("backbone_lstm", "keras.applications: outputs within 1e-4", backbone=backbone)
    yield _entry("motion_pool", "keras.applications: maps within 1e-4", backbone="mobilenet")
    yield _entry("frame_classifier", "its backbone as above", num_classes=6, backbone="inception_v3")
    yield _entry("genre_crnn", "Keras: head within 1e-5", num_classes=6, backbone="inception_v3")
    for variant in VARIANTS:
        yield _entry("video_resnet", _VIDEO_RESNET_REFERENCES[variant], variant=variant)
    yield _entry("c3d", "Keras: outputs within 1e-4 relative", num_classes=101)
    for name in ("convlstm", "lrcn"):
        yield _entry(name, "Keras: outputs within 1e-5", num_classes=4)


def _entry(name: str, reference: str, num_classes: int = 2, **variant: str) -> Entry:
    model = create_module(name, num_classes=num_classes, **variant)
    return Entry(" ".join((name, *variant.values())), model, model.default_clip(), reference)


def named_entry(text: str, clip: str = "") -> Entry:
    """Returns the network that `text` names: a label of `entries`, or NAME[:FIELD=VALUE,...] with fields of the module.

    Items of a field with several are joined with "+", as in "backbone_lstm:dense=64+8". There are two classes unless
    `num_classes` says another number.

    Args:
      text: such as "lrcn", "video_resnet r2plus1d_18" or "video_resnet:variant=r2plus1d_18,activation=elu".
      clip: frames, height and width of a clip, such as "16x112x112"; "" for those that the network was published for.

    Raises:
      ValueError: if there is no such network, field or value, or the clip is not of that form.
    """
    by_label = {entry.label: entry for entry in entries()}
    if text not in by_label:
        name, _, arg = text.partition(":")
        if name not in MODELS:
            allowed = ", ".join(dict.fromkeys((*MODELS, *by_label)))
            raise ValueError(f"the model is {name!r}; allowed: {allowed}")
        model = create_module(name, **_fields(name, arg))
        by_label[text] = Entry(text, model, model.default_clip(), "")
    entry = by_label[text]
    return entry._replace(clip=_clip_shape(clip)) if clip else entry


def _fields(name: str, arg: str) -> dict[str, Any]:
    """Parses fields of a module by the types of their defaults."""
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(MODELS[name])
        if field.name not in ("parent", "name", "axis_name")
    }
    defaults["num_classes"] = 2
    plain = {key: value if isinstance(value, int | float | str) else "" for key, value in defaults.items()}
    given = {part.partition("=")[0] for part in arg.split(",")}
    values = {key: value for key, value in parse_arg(arg, **plain).items() if key in given or key == "num_classes"}
    for key in values:
        if isinstance(default := defaults[key], tuple):
            item = type(default[0]) if default else str
            values[key] = tuple(map(item, filter(None, values[key].split("+"))))
    return values


def _clip_shape(clip: str) -> tuple[int, int, int, int]:
    parts = clip.split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError(f"--clip is {clip!r}; allowed: frames, height and width, such as 16x112x112")
    time, height, width = map(int, parts)
    return time, height, width, 3


def config_entry(config: ConfigDict) -> Entry:
    """Returns the network of a config, for two classes where the dataset, which would say it, is not known.

    Raises:
      ValueError: if the section `model` is not right.
    """
    section = config.model.copy_and_resolve_references()
    section.num_classes = section.num_classes or 2
    clip = config.clip
    return Entry(section.name, module_from_config(section), (clip.num_frames, clip.height, clip.width, 3), "")


def variable_shapes(entry: Entry) -> Variables:
    """The shapes of the network's variables; nothing is computed."""
    clips = jax.ShapeDtypeStruct((1, *entry.clip), jnp.float32)
    return jax.eval_shape(lambda clips: entry.model.init(jax.random.key(0), clips, train=False), clips)


def num_parameters(variables: Variables) -> int:
    """The number of trainable parameters: without the running statistics of batch normalization."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def inference_flops(entry: Entry, variables: Variables) -> int:
    """Operations for the logits of one clip, as `flops` counts them."""
    clips = jax.ShapeDtypeStruct((1, *entry.clip), jnp.float32)
    return flops(lambda variables, clips: entry.model.apply(variables, clips, train=False), variables, clips)


def table_row(entry: Entry) -> tuple[str, str, str, str, str]:
    """Returns the cells of a network: label, input, trainable parameters, GFLOPs, reference."""
    variables = variable_shapes(entry)
    time, height, width, _ = entry.clip
    return (
        entry.label,
        f"{time} x {height}x{width}",
        f"{num_parameters(variables):,}",
        f"{inference_flops(entry, variables) / 1e9:.2f}",
        entry.reference,
    )


def sites_of(label: str) -> dict[str, str]:
    """Returns the activation sites of the network with this label, with the function that each begins with.

    Raises:
      ValueError: if there is no such network.
    """
    by_label = {entry.label: entry for entry in entries()}
    check_choice("--sites", label, by_label)
    return activation_sites(by_label[label].model, by_label[label].clip)
