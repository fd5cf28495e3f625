"""Prediction with an exported file (`jaxvid.export`) in place of a checkpoint."""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from jaxtyping import PyTree

from jaxvid import parallel
from jaxvid.calibration import from_json
from jaxvid.classes import find_positive_class
from jaxvid.config import base_config
from jaxvid.export.export import VERSION
from jaxvid.export.formats import METADATA, PROGRAM
from jaxvid.predict.predictor import BATCH_SIZE, Origin, Predictor
from jaxvid.trained import Probabilities, StreamPrograms
from jaxvid.types import ConfigDict, Inputs


def load(path: Path, name: str = "", *, positive_class: str = "") -> Predictor:
    """Loads an exported file of the format "stablehlo". Its predictor has probabilities, and no embeddings.

    Args:
      path: the file.
      name: by which it is known, if not by its path.
      positive_class: the positive one of two classes; "" for that of the run.

    Raises:
      ValueError: if it is no such file, or one of another version, or if there is no such class.
    """
    name = name or str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            program, description = archive.read(PROGRAM), archive.read(METADATA)
            metadata = json.loads(description)
            # Files of earlier versions have none.
            parts = {name: archive.read(f"{name}.stablehlo") for name in metadata.get("parts", {}) if name != "span"}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(
            f"{name} is no exported file: {error}; python -m jaxvid.export --workdir=DIR --output=FILE writes one"
        ) from error
    if metadata.get("format") != VERSION:
        raise ValueError(f"{name} has format {metadata.get('format')}; this jaxvid reads {VERSION}: export it again")
    config = _config(metadata)
    config.dataset.positive_class = positive_class or config.dataset.positive_class
    find_positive_class(config.dataset.class_names, config.dataset.positive_class)
    stream_programs = None
    if parts:
        features = _call(parts["features"])
        sequences = _on_inputs(parts["sequences"], metadata["parts"]["sequences"])
        stream_programs = StreamPrograms(lambda _, frames: features(frames), sequences, metadata["parts"]["span"])
    digest = hashlib.sha256(description + program).hexdigest()[:16]
    return Predictor(
        config,
        {},
        parallel.local_multiple(BATCH_SIZE),
        _on_inputs(program, list(metadata["input"]["arrays"])),
        stream_programs,
        calibration=from_json(metadata["calibration"]),
        origin=Origin(name, metadata["step"], digest),
    )


def _call(program: bytes) -> Callable[..., jax.Array]:
    return jax.jit(export.deserialize(bytearray(program)).call, compiler_options=parallel.compiler_options())


def _on_inputs(program: bytes, arrays: Sequence[str]) -> Probabilities:
    """Returns a program as a function of variables, which it has inside, and inputs by name."""
    call = _call(program)

    def probabilities(_: PyTree, inputs: Inputs) -> jax.Array:
        return call(*(inputs[array] for array in arrays))

    return probabilities


def _config(metadata: Mapping[str, Any]) -> ConfigDict:
    """Returns a config with those keys that prediction reads."""
    taken, config = metadata["input"], base_config()
    _, num_frames, height, width, _ = taken["shape"]
    config.dataset.update(
        class_names=tuple(metadata["class_names"]),
        frame_size=(height, width),
        clip_seconds=taken["clip_seconds"],
        fps=taken["fps"],
        # Files of earlier versions do not tell.
        positive_class=metadata.get("positive_class", ""),
    )
    # With sampling "fps" windows have this frame rate, with the others that of the training clips.
    config.clip.update(
        num_frames=num_frames, sampling=taken["sampling"], frame_interval=taken["frame_interval"], fps=taken["fps"]
    )
    if taken["sample_rate"]:
        shape, dtype = taken["arrays"]["audio"]
        samples = int(shape.split(", ")[1])
        assert np.dtype(dtype) == np.int16
        config.audio.update(sample_rate=taken["sample_rate"], seconds=samples / taken["sample_rate"])
    return config
