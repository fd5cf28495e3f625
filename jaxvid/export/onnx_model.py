"""Programs of JAX as models of ONNX: jax2onnx converts them, and ONNX Runtime says whether they compute the same."""

import importlib
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from jaxvid.ops.platforms import one_for_all_platforms

OUTPUT = "probabilities"
TOLERANCE = 1e-4

# Dimensions, of which "batch" stands for any number, and type by name of the array.
Arrays = Mapping[str, tuple[tuple[str, ...], npt.DTypeLike]]


def onnx_model(program: Callable[..., jax.Array], arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Returns a program as a serialized model of ONNX, checked to compute what JAX does within TOLERANCE.

    Args:
      program: from arrays to one array, OUTPUT of the model.
      arrays: that it takes, in order; those of a single dimension are lengths of the arrays before them.
      metadata: texts by name, for the model's own.

    Raises:
      ValueError: if the packages are missing, if jax2onnx does not convert the program, or if ONNX Runtime does not run
        it or computes something else.
    """

    # JAX would not trace again a function that it has traced for several platforms.
    def untraced(*args: jax.Array) -> jax.Array:
        return program(*args)

    model = _converted(untraced, arrays)
    for name, text in metadata.items():
        model.metadata_props.add(key=name, value=text)
    content = model.SerializeToString()
    example = _example(arrays)
    with one_for_all_platforms():
        expected = np.asarray(jax.jit(untraced)(*example.values()))
    difference = float(np.abs(_run(content, example) - expected).max())
    if not difference <= TOLERANCE:
        raise ValueError(
            f"--format=onnx: the probabilities in ONNX Runtime differ from JAX's by {difference:.2g}; allowed: "
            f"{TOLERANCE:g}; other formats: stablehlo, savedmodel"
        )
    return content


def _converted(program: Callable[..., jax.Array], arrays: Arrays) -> Any:
    """Returns the model as its packages have it."""
    # Warnings of shapes that are not written, and of parts for other libraries than JAX.
    for name in ("jax2onnx", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        jax2onnx = importlib.import_module("jax2onnx")
    except ImportError as error:
        raise ValueError(
            'a model of ONNX is written with jax2onnx: pip install -e ".[onnx]" && pip install --no-deps jax2onnx'
        ) from error
    inputs = [
        jax.ShapeDtypeStruct(tuple(size if size == "batch" else int(size) for size in shape), dtype)
        for shape, dtype in arrays.values()
    ]
    try:
        with one_for_all_platforms(), warnings.catch_warnings():
            # Of float64, which it asks JAX for.
            warnings.simplefilter("ignore")
            model = jax2onnx.to_onnx(
                program, inputs, model_name="jaxvid", input_names=list(arrays), output_names=[OUTPUT]
            )
    # Whatever its parts for the operations raise.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"--format=onnx: jax2onnx does not convert this network ({reason}); other formats: stablehlo, savedmodel"
        ) from error
    # The shapes between the operations: some have their axes in another order, which ONNX Runtime warns of.
    del model.graph.value_info[:]
    return model


def _example(arrays: Arrays) -> dict[str, npt.NDArray]:
    """Returns two clips of noise, and the lengths of all of it."""
    rng = np.random.default_rng(0)
    example, length = {}, 0
    for name, (shape, dtype) in arrays.items():
        sizes = (2, *map(int, shape[1:]))
        if len(sizes) == 1:
            example[name] = np.full(sizes, length, dtype)
            continue
        limits = np.iinfo(np.dtype(dtype).name)
        example[name] = rng.integers(limits.min, limits.max, sizes, dtype, endpoint=True)
        length = sizes[1]
    return example


def _run(content: bytes, example: Mapping[str, npt.NDArray]) -> Float[np.ndarray, "batch classes"]:
    try:
        session = importlib.import_module("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
        (outputs,) = session.run([OUTPUT], dict(example))
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"--format=onnx: ONNX Runtime does not run this network ({reason}); other formats: stablehlo, savedmodel"
        ) from error
    return np.asarray(outputs, np.float32)
