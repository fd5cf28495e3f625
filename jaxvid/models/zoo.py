"""Every network of this package, what it costs and what it was checked against."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
from flax import linen as nn

from jaxvid.models import create_model
from jaxvid.models.backbones import BACKBONES
from jaxvid.models.cnn_lstm import ARCHITECTURES
from jaxvid.models.video_resnet import VARIANTS


class Entry(NamedTuple):
    """A network at the size at which it is described.

    Attributes:
      label: the key in MODELS, and which of its variants.
      model: the module.
      clip: time, height, width and channels of its input.
      reference: what the tests hold it against.
    """

    label: str
    model: nn.Module
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
        reference = _SHDN_REFERENCES.get(arch, "parameters counted by hand")
        yield _entry("cnn_lstm", (16, 128, 128, 3), reference, arch=arch)
    for backbone, architecture in BACKBONES.items():
        clip = (16, architecture.default_size, architecture.default_size, 3)
        yield _entry("backbone_lstm", clip, "keras.applications: outputs within 1e-4", backbone=backbone)
    yield _entry("frame_classifier", (1, 225, 225, 3), "its backbone as above", num_classes=6, backbone="inception_v3")
    yield _entry("genre_crnn", (40, 225, 225, 3), "Keras: head within 1e-5", num_classes=6, backbone="inception_v3")
    for variant in VARIANTS:
        yield _entry("video_resnet", (16, 112, 112, 3), _VIDEO_RESNET_REFERENCES[variant], variant=variant)
    for name in ("convlstm", "lrcn"):
        yield _entry(name, (20, 64, 64, 3), "Keras: outputs within 1e-5", num_classes=4)


def _entry(name: str, clip: tuple[int, int, int, int], reference: str, num_classes: int = 2, **variant: str) -> Entry:
    model = create_model(ml_collections.ConfigDict({"name": name, "num_classes": num_classes, **variant}))
    return Entry(" ".join((name, *variant.values())), model, clip, reference)


def variable_shapes(entry: Entry) -> dict[str, Any]:
    """The variables of the network as shapes; nothing is computed."""
    clips = jax.ShapeDtypeStruct((1, *entry.clip), jnp.float32)
    return jax.eval_shape(lambda clips: entry.model.init(jax.random.key(0), clips, train=False), clips)


def num_parameters(variables: dict[str, Any]) -> int:
    """How many parameters are trained; the running statistics of batch normalization are not."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def inference_flops(entry: Entry, variables: dict[str, Any]) -> int:
    """Operations of one clip's logits, as `flops` counts them."""
    clips = jax.ShapeDtypeStruct((1, *entry.clip), jnp.float32)
    return flops(lambda variables, clips: entry.model.apply(variables, clips, train=False), variables, clips)


def flops(function: Callable[..., Any], *args: Any) -> int:
    """Operations of the convolutions and matrix products of a call, two for a multiplication and its addition.

    Counted from the traced program, not by XLA's cost analysis, which takes a loop for one turn of it: of the ConvLSTM,
    it sees one time step of twenty. Multiplications with the zeros of a padding count.
    """
    return 2 * _multiplications(jax.make_jaxpr(function)(*args).jaxpr)


def _multiplications(jaxpr: Any) -> int:
    return sum(_multiplications_of(equation) for equation in jaxpr.eqns)


def _multiplications_of(equation: Any) -> int:
    outputs: Any = equation.outvars[0].aval if equation.outvars else None
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return outputs.size * math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        return outputs.size * kernel.size // kernel.shape[params["dimension_numbers"].rhs_spec[0]]
    if name == "while":
        raise ValueError("a 'while' loop cannot be counted: how often it runs is not known beforehand")
    if name == "cond":
        # One and the same convolution for several platforms, of which the last is the plain one.
        return _multiplications(params["branches"][-1].jaxpr)
    # The functions that this equation calls, such as the body of a scan.
    called = [getattr(value, "jaxpr", value) for value in params.values()]
    inside = sum(_multiplications(jaxpr) for jaxpr in called if hasattr(jaxpr, "eqns"))
    return inside * params["length"] if name == "scan" else inside
