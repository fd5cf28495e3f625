"""A checkpoint for use without the code of the model: StableHLO in one file, or TensorFlow's SavedModel.

The file is a ZIP archive of two members: `model.stablehlo`, which `jax.export.deserialize` reads, from uint8 frames
(batch, time, height, width, 3) of any batch size to float32 probabilities (batch, classes), preprocessing inside, for
CPU and CUDA; and `model.json`, with the classes, the size of the frames, and how they are sampled from a video. A
SavedModel is a directory with the same function as its default signature, and `model.json` beside it.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export as jax_export
from jaxtyping import Array

from jaxvid import checkpoint
from jaxvid.config import load_config
from jaxvid.data.audio import num_samples
from jaxvid.data.sampling import create_sampling
from jaxvid.files import replacing, replacing_directory
from jaxvid.models import create_model, takes_sequences
from jaxvid.steps import eval_step
from jaxvid.types import ConfigDict

PROGRAM = "model.stablehlo"
FACTS = "model.json"
PLATFORMS = ("cpu", "cuda")
FORMAT = 1
KINDS = ("stablehlo", "savedmodel")


def export(workdir: Path, output: Path, *, which: str = "best", kind: str = "stablehlo") -> dict[str, Any]:
    """Writes the checkpoint called `which` of the run in `workdir` to `output`; returns its facts.

    Args:
      workdir: of the run.
      output: a file, which is replaced, or for a SavedModel a directory, which must not be there.
      which: "best", "last", or the number of a step.
      kind: one of KINDS.

    Raises:
      ValueError: if the workdir, the checkpoint or the kind does not exist, or the directory does.
    """
    if kind not in KINDS:
        raise ValueError(f"--format={kind!r}; allowed: {', '.join(KINDS)}")
    if kind == "savedmodel" and output.exists():
        raise ValueError(f"{output} exists; give another directory for the SavedModel")
    config = load_config(workdir)
    step, variables = checkpoint.load_variables(workdir, config.eval.monitor, which)
    facts = {**_facts(config), "step": step}
    model = create_model(config.model)
    inputs = program_inputs(config)

    def probabilities(*arrays: Array) -> Array:
        return eval_step(variables, dict(zip(inputs, arrays, strict=True)), model=model, config=config)

    output.parent.mkdir(parents=True, exist_ok=True)
    if kind == "savedmodel":
        _save_as_tensorflow(probabilities, inputs, facts, output)
    else:
        program = exported_program(probabilities, inputs)
        _write(output, {PROGRAM: bytes(program.serialize()), FACTS: _json(facts)})
    return facts


class Input(NamedTuple):
    """An array that the program takes; its shape in words, of which "batch" stands for any number."""

    shape: str
    dtype: Any


def program_inputs(config: ConfigDict) -> dict[str, Input]:
    """The arrays that the program of a config's network takes, in order: frames, of sequences with more beside them."""
    height, width = config.dataset.frame_size
    inputs = {"frames": Input(f"batch, {config.clip.num_frames}, {height}, {width}, 3", np.uint8)}
    if takes_sequences(create_model(config.model)):
        inputs["num_frames"] = Input("batch", np.int32)
    if config.audio.sample_rate:
        inputs |= {
            "audio": Input(f"batch, {num_samples(config.audio)}", np.int16),
            "num_samples": Input("batch", np.int32),
        }
    return inputs


def exported_program(probabilities: Callable[..., Array], inputs: Mapping[str, Input]) -> jax_export.Exported:
    """The program from `inputs` to probabilities, its weights inside."""
    scope = jax_export.SymbolicScope()
    arguments = [
        jax.ShapeDtypeStruct(jax_export.symbolic_shape(shape, scope=scope), dtype) for shape, dtype in inputs.values()
    ]
    return jax_export.export(jax.jit(probabilities), platforms=PLATFORMS)(*arguments)


def _save_as_tensorflow(
    probabilities: Callable[..., Array], inputs: Mapping[str, Input], facts: dict[str, Any], output: Path
) -> None:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError('a SavedModel is written with TensorFlow: pip install -e ".[build]"') from error
    from jax.experimental import jax2tf

    converted = jax2tf.convert(
        probabilities,
        polymorphic_shapes=[f"({shape},)" if shape == "batch" else f"({shape})" for shape, _ in inputs.values()],
        native_serialization_platforms=PLATFORMS,
    )
    signature = [
        tf.TensorSpec([None, *map(int, shape.split(", ")[1:])], dtype, name) for name, (shape, dtype) in inputs.items()
    ]
    module: Any = tf.Module()
    module.probabilities = tf.function(converted, input_signature=signature, autograph=False)
    with replacing_directory(output) as unfinished:
        tf.saved_model.save(module, str(unfinished), signatures=module.probabilities)
        (unfinished / FACTS).write_bytes(_json(facts))


def _facts(config: ConfigDict) -> dict[str, Any]:
    """What somebody needs to know who has only the file."""
    clip = config.clip
    return {
        "format": FORMAT,
        "class_names": list(config.dataset.class_names),
        "input": {
            "type": "uint8 RGB",
            "shape": ["batch", clip.num_frames, *config.dataset.frame_size, 3],
            "sampling": clip.sampling,
            "frame_interval": clip.frame_interval,
            "fps": create_sampling(clip).frame_rate(config.dataset.fps),
            "clip_seconds": config.dataset.clip_seconds,
            # What the program takes, in order: beside the frames, of sequences, how many of them count, and the sound.
            "arrays": {name: [shape, np.dtype(dtype).name] for name, (shape, dtype) in program_inputs(config).items()},
            "sample_rate": config.audio.sample_rate,
        },
        "output": {"type": "float32 probabilities", "shape": ["batch", len(config.dataset.class_names)]},
        "model": {key: value for key, value in config.model.items() if key != "pretrained"},
        "trained_on": config.dataset.name,
    }


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, indent=2).encode()


def _write(output: Path, members: dict[str, bytes]) -> None:
    # Weights hardly compress; the program does, but is small.
    with replacing(output) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
