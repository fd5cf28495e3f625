"""Exports a checkpoint as a program from frames to probabilities."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, PyTree

from jaxvid import trained
from jaxvid.calibration import as_json
from jaxvid.data.audio import num_samples
from jaxvid.data.sampling import create_sampling
from jaxvid.export.formats import FORMATS, Input, Metadata, Program
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.steps import eval_step, sequence_step, stream_step
from jaxvid.types import ConfigDict

# Raised when `model.json` changes in a way that its readers must know of.
VERSION = 1


def export(workdir: Path, output: Path, *, which: str = "best", kind: str = "stablehlo") -> Metadata:
    """Writes the checkpoint `which` of the run in `workdir` to `output`, and returns its metadata.

    Args:
      workdir: run directory.
      output: a file is replaced; a directory must not exist yet.
      which: "best", "last", or the number of a step.
      kind: a key of FORMATS.

    Raises:
      ValueError: if the workdir, the checkpoint or the format does not exist, or a directory to write already does.
    """
    if kind not in FORMATS:
        raise ValueError(f"--format={kind!r}; allowed: {', '.join(FORMATS)}")
    run = trained.load(workdir, which)
    metadata = {**_metadata(run.config), "step": run.step, "calibration": as_json(run.calibration)}
    program = create_program(run.model, run.variables, run.config, run.calibration.temperature)
    parts = create_parts(run.model, run.variables, run.config, run.calibration.temperature)
    if kind == "stablehlo" and parts:
        program = program._replace(parts=parts)
        arrays = {name: list(part.inputs) for name, part in parts.items()}
        metadata["parts"] = {"span": run.model.feature_span(), **arrays}
    output.parent.mkdir(parents=True, exist_ok=True)
    FORMATS[kind].write(program, metadata, output)
    return metadata


def create_program(
    model: ClipModel, variables: PyTree, config: ConfigDict, temperature: float | None = None
) -> Program:
    """Returns the program that a model's variables make, preprocessing and a calibration's temperature included."""
    inputs = program_inputs(config)

    def probabilities(*arrays: Array) -> Array:
        given = dict(zip(inputs, arrays, strict=True))
        return eval_step(variables, given, model=model, config=config, temperature=temperature)

    return Program(probabilities, inputs)


def create_parts(
    model: ClipModel, variables: PyTree, config: ConfigDict, temperature: float | None = None
) -> dict[str, Program]:
    """Returns the two steps of `create_program` by which overlapping windows share frames; none if they cannot.

    "features" computes `jaxvid.steps.stream_step` of any number of frames in a row, "sequences" the probabilities of
    windows, given the features of their frames (`jaxvid.steps.sequence_step`).
    """
    span, clip = model.feature_span(), config.clip
    if not 0 < span <= clip.num_frames:
        return {}
    frame_shape = (*config.dataset.frame_size, 3)

    def features(frames: Array) -> Array:
        return stream_step(variables, frames, model=model, config=config)

    _, crops, width = jax.eval_shape(features, jax.ShapeDtypeStruct((span + 1, *frame_shape), np.uint8)).shape
    inputs = {"features": Input(f"batch, {clip.num_frames - span + 1}, {crops}, {width}", np.float32)}
    inputs |= {name: value for name, value in program_inputs(config).items() if name != "frames"}

    def probabilities(*arrays: Array) -> Array:
        given = dict(zip(inputs, arrays, strict=True))
        return sequence_step(variables, given, model=model, config=config, temperature=temperature)

    frames = {"frames": Input(f"frame, {', '.join(map(str, frame_shape))}", np.uint8)}
    constraints = (f"frame >= {span}",) if span > 1 else ()
    return {
        "features": Program(features, frames, constraints=constraints),
        "sequences": Program(probabilities, inputs),
    }


def program_inputs(config: ConfigDict) -> dict[str, Input]:
    """Returns the arrays that a config's program takes, in order: frames, and what sequences and audio add to them."""
    height, width = config.dataset.frame_size
    inputs = {"frames": Input(f"batch, {config.clip.num_frames}, {height}, {width}, 3", np.uint8)}
    if module_from_config(config.model).takes_sequences:
        inputs["num_frames"] = Input("batch", np.int32)
    if config.audio.sample_rate:
        inputs |= {
            "audio": Input(f"batch, {num_samples(config.audio)}", np.int16),
            "num_samples": Input("batch", np.int32),
        }
    return inputs


def _metadata(config: ConfigDict) -> Metadata:
    """Returns what a program that has only the exported file needs to know."""
    clip = config.clip
    return {
        "format": VERSION,
        "class_names": list(config.dataset.class_names),
        "positive_class": config.dataset.positive_class,
        "input": {
            "type": "uint8 RGB",
            "shape": ["batch", clip.num_frames, *config.dataset.frame_size, 3],
            "sampling": clip.sampling,
            "frame_interval": clip.frame_interval,
            "fps": create_sampling(clip).frame_rate(config.dataset.fps),
            "clip_seconds": config.dataset.clip_seconds,
            # The program's arguments in order; a program of sequences takes more than the frames.
            "arrays": {name: [shape, np.dtype(dtype).name] for name, (shape, dtype) in program_inputs(config).items()},
            "sample_rate": config.audio.sample_rate,
        },
        "output": {"type": "float32 probabilities", "shape": ["batch", len(config.dataset.class_names)]},
        "model": {key: value for key, value in config.model.items() if key != "pretrained"},
        "trained_on": config.dataset.name,
    }
