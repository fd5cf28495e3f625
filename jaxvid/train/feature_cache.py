"""Features of a frozen backbone, computed once for every clip, so that an epoch of head training takes seconds."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree
from tqdm import tqdm

from jaxvid import parallel
from jaxvid.data.dataset import ClipSplit
from jaxvid.data.pipeline import ENDLESS, evaluation_batches, evaluation_views
from jaxvid.data.preprocess import preprocess
from jaxvid.data.sampling import create_sampling
from jaxvid.files import replacing_directory
from jaxvid.inference import of_videos
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.steps import TrainState, network_input
from jaxvid.train.setup import Run
from jaxvid.train.validation import validation_metrics
from jaxvid.types import ConfigDict

_DIRECTORY = "features"
# States what the features beside it were computed from.
_KEY_FILE = "key.json"
# The name of the features of a model that has one array of them.
_ONLY = "features"

# Arrays by name, with a row for every clip.
Features = dict[str, np.ndarray]
Classifier = Callable[[PyTree, PyTree], Array]


def are_constant(config: ConfigDict) -> bool:
    """Returns whether the features of a clip are the same at every step."""
    augment = config.augment
    changes = augment.flip or augment.min_scale < 1 or augment.brightness or augment.contrast or augment.erasing
    # Of two stages, only the first augments its frames.
    changes = changes and not config.retrain.num_steps
    if config.activations.policy != "fixed" or config.eval.clips > 1:
        return False
    same_input = create_sampling(config.clip).is_fixed and config.clip.crop == "resize" and not changes
    model = module_from_config(config.model)
    # Without a backbone, what makes the features is trained.
    frozen = model.has_features and bool(model.backbones()) and config.model.trainable == "head"
    return frozen and same_input and not augment.mixup and jax.process_count() == 1


def on_cached_features(run: Run, variables: dict[str, PyTree], workdir: Path) -> Run:
    """Returns the run with batches and validation of cached features instead of frames.

    Args:
      run: of a model whose features are constant (`are_constant`).
      variables: of the model, at any step: the frozen ones do not change.
      workdir: that holds the cache.
    """
    config = run.config
    train_features, val_features = (
        cached_features(workdir, run.model, variables, split, run.splits.builder.info.full_name, config)
        for split in (run.splits.train, run.splits.val)
    )
    classifier = compile_classifier(run.model)

    def validate(state: TrainState) -> dict[str, float]:
        outputs = classify(classifier, state.variables, val_features, config.eval.batch_size)
        return validation_metrics(of_videos(run.splits.val, np.arange(len(outputs)), outputs), config)

    batches = feature_batches(
        train_features, run.splits.train.metadata.labels, batch_size=config.train.batch_size, seed=config.seed
    )
    return dataclasses.replace(run, batches=batches, validate=validate)


def cached_features(
    workdir: Path,
    model: ClipModel,
    variables: dict[str, PyTree],
    split: ClipSplit,
    dataset: str,
    config: ConfigDict,
) -> Features:
    """Returns the features of every clip of a split, from the workdir's cache if it holds them.

    They stay on disk (memory-mapped): 10,000 clips of 40 frames of Inception v3 are 3.3 GB.

    Args:
      workdir: of the run.
      model: with `has_features`.
      variables: of the model.
      split: the clips.
      dataset: name of the split's dataset, with its version.
      config: of the run.
    """
    directory = workdir / _DIRECTORY / split.name.replace("/", "-")
    key = _cache_key(variables, split, dataset, config)
    key_path = directory / _KEY_FILE
    if not key_path.exists() or json.loads(key_path.read_text()) != key:
        with replacing_directory(directory) as unfinished:
            _extract(unfinished, model, variables, split, config)
            (unfinished / _KEY_FILE).write_text(json.dumps(key, indent=2) + "\n")
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(directory.glob("*.npy"))}


def _cache_key(variables: dict[str, PyTree], split: ClipSplit, dataset: str, config: ConfigDict) -> dict[str, PyTree]:
    """Returns everything on which the features depend, ready for JSON: large values as their SHA-256."""
    clips = {field.name: getattr(split.metadata, field.name) for field in dataclasses.fields(split.metadata)}
    frozen = {
        name: {module: values for module, values in collection.items() if module != "head"}
        for name, collection in variables.items()
    }
    settings = {section: config[section].to_dict() for section in ("clip", "audio", "model")}
    return json.loads(json.dumps({"dataset": dataset, "clips": _digest(clips), "weights": _digest(frozen), **settings}))


def _digest(tree: PyTree) -> str:
    """Returns the SHA-256 of the names, types, shapes and values in a tree of arrays, numbers and strings."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        values = leaf if isinstance(leaf, str) else np.asarray(leaf)
        header = "" if isinstance(values, str) else f"{values.dtype} {values.shape}"
        digest.update(f"{jax.tree_util.keystr(path)} {header}\0".encode())
        digest.update(values.encode() if isinstance(values, str) else values.tobytes())
    return digest.hexdigest()


def _extract(
    directory: Path, model: ClipModel, variables: dict[str, PyTree], split: ClipSplit, config: ConfigDict
) -> None:
    def step(variables: dict[str, PyTree], inputs: dict[str, Array]) -> dict[str, Array]:
        clips = network_input(inputs, preprocess(inputs["frames"], config.clip), model, config.audio)
        # Flax declares also the updated variables, which this call does not ask for.
        features: Any = model.apply(variables, clips, method="extract")
        return features if isinstance(features, dict) else {_ONLY: features}

    on_devices = parallel.over_local_devices(step)
    views = evaluation_views(split, config.clip, num_threads=config.pipeline.num_threads, audio=config.audio)
    progress = iter(tqdm(views, f"Features of {split.name}", len(split), unit="clip"))
    stored: dict[str, np.memmap] = {}
    for batch in evaluation_batches(progress, parallel.local_multiple(config.eval.batch_size)):
        outputs = on_devices(variables, batch.inputs)
        for name, values in outputs.items():
            rows = np.asarray(values)
            if name not in stored:
                shape = (len(split), *rows.shape[1:])
                stored[name] = np.lib.format.open_memmap(directory / f"{name}.npy", "w+", rows.dtype, shape)
            stored[name][batch.clip_index[batch.mask]] = rows[batch.mask]
    for array in stored.values():
        array.flush()


def feature_batches(
    features: Features, labels: Int[np.ndarray, "clip"], *, batch_size: int, seed: int
) -> grain.DatasetIterator:
    """Returns endless batches `{"features": for the head, "label": int32}`, like `training_batches`."""

    def load(positions: Int[np.ndarray, "batch"]) -> dict[str, PyTree[np.ndarray]]:
        rows = {name: np.asarray(values[positions]) for name, values in features.items()}
        return {"features": for_head(rows), "label": labels[positions].astype(np.int32)}

    dataset = grain.MapDataset.range(len(labels)).seed(seed).shuffle().repeat(ENDLESS).batch(batch_size).map(load)
    return iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)))


def for_head(features: Features) -> np.ndarray | Features:
    """Returns the argument of `ClipModel.classify`: features by name, or the array itself if there is one."""
    return features[_ONLY] if set(features) == {_ONLY} else features


def compile_classifier(model: ClipModel) -> Classifier:
    """Returns `(variables, features)` -> class probabilities, on the devices of this process."""

    def step(variables: dict[str, PyTree], features: PyTree[Array]) -> Array:
        return jax.nn.softmax(jnp.asarray(model.apply(variables, features, train=False, method="classify")))

    return parallel.over_local_devices(step)


def classify(
    classifier: Classifier, variables: dict[str, PyTree], features: Features, batch_size: int
) -> Float[np.ndarray, "clip classes"]:
    """Returns the class probabilities of every clip."""
    size = parallel.local_multiple(batch_size)
    return np.concatenate(list(parallel.in_batches(partial(classifier, variables), for_head(features), size)))
