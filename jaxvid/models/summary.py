"""The layers of a network, in the order in which they are called, with their shapes, parameters and operations.

Flax's own `tabulate` counts the body of a loop over time once, and does not say which layer feeds which; here one trace
of the network gives both (`jaxvid.models.diagram` draws it).
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util
from jax.extend.core import ClosedJaxpr, JaxprEqn
from jaxtyping import PyTree

from jaxvid.models.clip_model import AudioVisualClips, ClipModel
from jaxvid.models.flops import flops_by_equation

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """A module of a network.

    Attributes:
      path: names of the modules around it and its own, joined by "/".
      kind: name of its class.
      detail: its size, such as "3x3, 32"; "" if there is nothing to say.
      inputs: shape of its first argument for one clip.
      outputs: shape of its output.
      parameters: trained numbers of it and all modules inside.
      flops: operations of it and all modules inside (`jaxvid.models.flops`).
    """

    path: str
    kind: str
    detail: str
    inputs: Shape
    outputs: Shape
    parameters: int = 0
    flops: int = 0


class Trace(NamedTuple):
    """A network as it computes the logits of one clip.

    Attributes:
      layers: by path, in the order of the calls.
      parameters: of the whole network.
      flops: of the whole network.
      program: whose equations `layer_of` tells the layers of.
      inputs: shapes by name, in the order of the program's last arguments.
    """

    layers: dict[str, Layer]
    parameters: int
    flops: int
    program: ClosedJaxpr
    inputs: dict[str, Shape]


def trace(model: ClipModel, clip_shape: tuple[int, int, int, int]) -> Trace:
    """Traces a network for one clip of this time, height, width and number of channels; nothing is computed."""
    clips = _clips(model, clip_shape)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), _zeros(clips), train=False))
    called: dict[str, Layer] = {}
    with nn.intercept_methods(_recording(called)):
        program = jax.make_jaxpr(lambda variables, clips: model.apply(variables, clips, train=False))(variables, clips)
    flat: dict[str, Any] = traverse_util.flatten_dict(variables["params"], sep="/")
    sizes = {path: leaf.size for path, leaf in flat.items()}
    flops: Counter[str] = Counter()
    for equation, equation_flops in flops_by_equation(program):
        flops[layer_of(equation)] += equation_flops
    layers = {
        path: layer._replace(parameters=_sum_below(path, sizes), flops=_sum_below(path, flops))
        for path, layer in called.items()
    }
    inputs = clips._asdict() if isinstance(clips, AudioVisualClips) else {"frames": clips}
    shapes = {name: shape.shape for name, shape in inputs.items()}
    return Trace(layers, sum(sizes.values()), flops.total(), program, shapes)


def _clips(model: ClipModel, clip_shape: tuple[int, int, int, int]) -> Any:
    """Returns the shapes of what the network takes for one clip; as many spectra as bands, where it takes sound."""
    frames = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
    if not model.takes_sequences or "sound" not in model.input_streams():
        return frames
    bands: Any = getattr(model, "num_bands")  # noqa: B009
    length, spectrograms = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((1, bands, bands), jnp.float32)
    shapes: Any = (frames, length, spectrograms, length)
    return AudioVisualClips(*shapes)


def _zeros(shapes: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _sum_below(path: str, values: dict[str, int]) -> int:
    return sum(value for key, value in values.items() if key == path or key.startswith(f"{path}/"))


def _recording(called: dict[str, Layer]) -> Callable[..., Any]:
    """Returns an interceptor that records every call of a module in `called`, and marks its equations."""

    def record(call: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext) -> PyTree:
        path = "/".join(context.module.path)
        # Modules inside a scan have no path, and methods beside the call are parts of the module that they belong to.
        if not path or context.method_name != "__call__":
            return call(*args, **kwargs)
        # At its place in the order of the calls; what it returns is not known yet.
        called.setdefault(path, Layer(path, type(context.module).__name__, "", (), ()))
        with jax.named_scope(f"layer[{path}]"):
            outputs = call(*args, **kwargs)
        called[path] = called[path]._replace(
            detail=_detail(context.module), inputs=_shape(args[0]), outputs=_shape(outputs)
        )
        return outputs

    return record


def _detail(module: nn.Module) -> str:
    """Returns what the fields of a layer say about its size."""
    parts = []
    if kernel_size := getattr(module, "kernel_size", None):
        parts.append("x".join(map(str, kernel_size)))
    if isinstance(features := getattr(module, "features", None), int):
        parts.append(str(features))
    strides = getattr(module, "strides", None)
    if strides and set(strides if isinstance(strides, tuple) else (strides,)) != {1}:
        parts.append(f"stride {'x'.join(map(str, strides)) if isinstance(strides, tuple) else strides}")
    parts += [str(value) for key in ("architecture", "function", "rate", "filters") if (value := _field(module, key))]
    return ", ".join(parts)


def _field(module: nn.Module, key: str) -> Any:
    value = getattr(module, key, None)
    return None if isinstance(value, tuple) else value


def _shape(value: Any) -> Shape:
    """Returns the shape of the first array in a value."""
    leaves = jax.tree.leaves(value)
    return tuple(leaves[0].shape) if leaves else ()


def layer_of(equation: JaxprEqn) -> str:
    """Returns the path of the innermost layer that an equation of a trace belongs to; "" if to none."""
    marks = re.findall(r"layer\[(.*?)\]", str(equation.source_info.name_stack))
    return marks[-1] if marks else ""


def shape_text(shape: Shape) -> str:
    """Returns a shape as text; dimensions of 1, such as that of the single clip, are left out."""
    return " x ".join(str(size) for size in shape if size != 1) or "1"


HEADER = ("layer", "kind", "size", "output", "parameters", "MFLOPs")
RIGHT_ALIGNED = (False, False, False, False, True, True)


def table(traced: Trace, depth: int = 0) -> list[tuple[str, ...]]:
    """Returns the rows of a network's layers under HEADER, with those of at most `depth` levels unless it is 0."""
    rows = [
        (
            layer.path,
            layer.kind,
            layer.detail,
            shape_text(layer.outputs),
            f"{layer.parameters:,}",
            f"{layer.flops / 1e6:,.2f}",
        )
        for layer in traced.layers.values()
        if not depth or layer.path.count("/") < depth
    ]
    return [HEADER, *rows, ("all", "", "", "", f"{traced.parameters:,}", f"{traced.flops / 1e6:,.2f}")]
