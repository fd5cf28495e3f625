"""Formats of exported programs.

`stablehlo` is a ZIP archive with three members: `model.stablehlo`, which `jax.export.deserialize` reads, from uint8
frames (batch, time, height, width, 3) of any batch size to float32 probabilities (batch, classes), preprocessing and
the temperature of a calibration included, for CPU and CUDA; `model.json`, with the classes, the frame size, how frames
are sampled from a video, and the calibration, whose threshold is left to the program that decides; and `labels.txt`,
the classes alone. A network whose windows can share the features of frames has two more programs there,
`features.stablehlo` and `sequences.stablehlo`. `savedmodel` is TensorFlow's directory with the first function as its
default signature, and the same `model.json` and `labels.txt`. `onnx` is one file of ONNX, also for any batch size,
whose metadata has both under these names; it computes in one way on all devices.

JAX, TensorFlow and ONNX are imported when a program is written, so that the command can list the formats without them.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jaxvid.files import replacing, replacing_directory

if TYPE_CHECKING:
    from jax import Array
    from jax.export import Exported

PROGRAM = "model.stablehlo"
METADATA = "model.json"
# Names of the classes, a line each, in the order of the probabilities.
LABELS = "labels.txt"
PLATFORMS = ("cpu", "cuda")

# The content of `model.json`.
Metadata = dict[str, object]


class Input(NamedTuple):
    """An array that the program takes.

    Attributes:
      shape: the dimensions, separated by commas; "batch" stands for any number.
      dtype: of the elements.
    """

    shape: str
    dtype: npt.DTypeLike


class Program(NamedTuple):
    """A program to export.

    Attributes:
      probabilities: function from the inputs, in order, to class probabilities, with the weights inside.
      inputs: the arrays that it takes, by name.
      parts: by name, programs that compute the same in two steps (`jaxvid.export.export.create_parts`).
      constraints: on numbers in the shapes of the inputs, such as "frame >= 2".
    """

    probabilities: Callable[..., "Array"]
    inputs: Mapping[str, Input]
    parts: "Mapping[str, Program]" = MappingProxyType({})
    constraints: tuple[str, ...] = ()


class Format(NamedTuple):
    """A format of exported programs.

    Attributes:
      write: writes a program and its metadata to a path.
      description: one line for the help text.
    """

    write: Callable[[Program, Metadata, Path], None]
    description: str


def serialized(program: Program) -> "Exported":
    """Returns the program as `jax.export` has it, for any batch size."""
    import jax

    scope = jax.export.SymbolicScope(program.constraints)
    arguments = [
        jax.ShapeDtypeStruct(jax.export.symbolic_shape(shape, scope=scope), dtype)
        for shape, dtype in program.inputs.values()
    ]
    return jax.export.export(jax.jit(program.probabilities), platforms=PLATFORMS)(*arguments)


def _write_stablehlo(program: Program, metadata: Metadata, output: Path) -> None:
    members = {PROGRAM: bytes(serialized(program).serialize()), METADATA: _json(metadata), LABELS: _labels(metadata)}
    members |= {f"{name}.stablehlo": bytes(serialized(part).serialize()) for name, part in program.parts.items()}
    # Not compressed: weights hardly shrink, and the program is small beside them.
    with replacing(output) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _write_savedmodel(program: Program, metadata: Metadata, output: Path) -> None:
    if output.exists():
        raise ValueError(f"{output} exists; give another directory for the SavedModel")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError('a SavedModel is written with TensorFlow: pip install -e ".[build]"') from error
    from jax.experimental import jax2tf

    inputs = program.inputs
    converted = jax2tf.convert(
        program.probabilities,
        polymorphic_shapes=[f"({shape},)" if shape == "batch" else f"({shape})" for shape, _ in inputs.values()],
        native_serialization_platforms=PLATFORMS,
    )
    signature = [
        tf.TensorSpec([None, *map(int, shape.split(", ")[1:])], np.dtype(dtype), name)
        for name, (shape, dtype) in inputs.items()
    ]
    # TensorFlow takes functions as attributes, of which type checkers know nothing.
    module: Any = tf.Module()
    module.probabilities = tf.function(converted, input_signature=signature, autograph=False)
    with replacing_directory(output) as unfinished:
        tf.saved_model.save(module, str(unfinished), signatures=module.probabilities)
        (unfinished / METADATA).write_bytes(_json(metadata))
        (unfinished / LABELS).write_bytes(_labels(metadata))


def _write_onnx(program: Program, metadata: Metadata, output: Path) -> None:
    from jaxvid.export.onnx_model import onnx_model

    arrays = {name: (tuple(shape.split(", ")), dtype) for name, (shape, dtype) in program.inputs.items()}
    content = {METADATA: _json(metadata).decode(), LABELS: _labels(metadata).decode()}
    model = onnx_model(program.probabilities, arrays, content)
    with replacing(output) as unfinished:
        unfinished.write_bytes(model)


def _json(metadata: Metadata) -> bytes:
    return json.dumps(metadata, indent=2).encode()


def _labels(metadata: Metadata) -> bytes:
    names = metadata["class_names"]
    assert isinstance(names, list)
    return "".join(f"{name}\n" for name in names).encode()


FORMATS = {
    "stablehlo": Format(_write_stablehlo, "one file, for JAX and other StableHLO runtimes"),
    "savedmodel": Format(_write_savedmodel, "a new directory, for TensorFlow"),
    "onnx": Format(_write_onnx, "one file, for ONNX Runtime and other runtimes of ONNX"),
}
