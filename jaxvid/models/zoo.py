"""Every network of this package, its cost and its reference."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvid.models.activations import activation_sites
from jaxvid.models.backbones import BACKBONES
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.cnn_lstm import ARCHITECTURES
from jaxvid.models.create import Variables, create_module
from jaxvid.models.flops import flops
from jaxvid.models.video_resnet import VARIANTS


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
    """Every network, at the sizes of the configs; of two classes, those of papers 1.3 and 1.4 of six and four."""
    for arch in ARCHITECTURES:
        yield _entry("cnn_lstm", _SHDN_REFERENCES.get(arch, "parameters counted by hand"), arch=arch)
    for backbone in BACKBONES:
        yield _entry("backbone_lstm", "keras.applications: outputs within 1e-4", backbone=backbone)
    yield _entry("motion_pool", "keras.applications: maps within 1e-4", backbone="mobilenet")
    yield _entry("frame_classifier", "its backbone as above", num_classes=6, backbone="inception_v3")
    yield _entry("genre_crnn", "Keras: head within 1e-5", num_classes=6, backbone="inception_v3")
    for variant in VARIANTS:
        yield _entry("video_resnet", _VIDEO_RESNET_REFERENCES[variant], variant=variant)
    for name in ("convlstm", "lrcn"):
        yield _entry(name, "Keras: outputs within 1e-5", num_classes=4)


def _entry(name: str, reference: str, num_classes: int = 2, **variant: str) -> Entry:
    model = create_module(name, num_classes=num_classes, **variant)
    return Entry(" ".join((name, *variant.values())), model, model.default_clip(), reference)


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
    if label not in by_label:
        raise ValueError(f"--sites is {label!r}; allowed: {', '.join(by_label)}")
    return activation_sites(by_label[label].model, by_label[label].clip)
