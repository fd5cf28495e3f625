"""Features of a frozen backbone, computed once for every view of a clip: an epoch of head training takes seconds."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import logging
from jaxtyping import Array, Float, Int, PyTree
from tqdm import tqdm

from jaxvid import parallel, processes
from jaxvid.config import at_least
from jaxvid.data.augment import augmented, changes_clips
from jaxvid.data.dataset import ClipSplit
from jaxvid.data.mixing import mixes
from jaxvid.data.pipeline import ENDLESS, ROWS, evaluation_batches
from jaxvid.data.preprocess import preprocess
from jaxvid.data.sampling import create_sampling
from jaxvid.files import replacing
from jaxvid.inference import of_videos
from jaxvid.models.clip_model import ClipModel
from jaxvid.models.create import module_from_config
from jaxvid.steps import TrainState, network_input
from jaxvid.train.feature_store import FeatureRows, Features, Writer, halved, locked, missing_rows, open_rows
from jaxvid.train.feature_views import View, clip_digests, load_views, training_views, validation_views
from jaxvid.train.resident import is_resident, with_table
from jaxvid.train.setup import Run
from jaxvid.train.validation import validation_metrics
from jaxvid.types import ConfigDict

_DIRECTORY = "features"
_DESCRIPTION_FILE = "computed_for.json"
# The name of the features of a model that has one array of them.
_ONLY = "features"

Classifier = Callable[[PyTree, PyTree], Array]


def are_cached(config: ConfigDict) -> bool:
    """Returns whether a run trains on cached features: several views of a clip, or the only one there is."""
    return bool(config.train.cached_views) or are_constant(config)


def are_constant(config: ConfigDict) -> bool:
    """Returns whether the features of a clip are the same at every step."""
    # Of two stages, only the first augments its frames.
    changes = changes_clips(config.augment) and not config.retrain.num_steps
    if config.activations.policy != "fixed" or config.eval.clips > 1:
        return False
    same_input = create_sampling(config.clip).is_fixed and config.clip.crop == "resize" and not changes
    frozen = _has_backbone_features(config) and config.model.trainable == "head"
    return frozen and same_input and not mixes(config.augment)


def _has_backbone_features(config: ConfigDict) -> bool:
    model = module_from_config(config.model)
    # Without a backbone, what makes the features is trained.
    return model.has_features and bool(model.backbones())


def check_cached_views(config: ConfigDict) -> None:
    """Checks `train.cached_views`.

    Raises:
      ValueError: if the number is not allowed, or the run has no features that could be cached.
    """
    at_least(config.train, 0, "train.cached_views")
    count = config.train.cached_views
    if not count:
        return
    obstacles = {
        f"model.name {config.model.name!r}": not _has_backbone_features(config),
        f"model.trainable {config.model.trainable!r}": config.model.trainable != "head",
        f"activations.policy {config.activations.policy!r}": config.activations.policy != "fixed",
        f"retrain.num_steps {config.retrain.num_steps}": config.retrain.num_steps > 0,
        f"augment.cutmix {config.augment.cutmix}": config.augment.cutmix > 0,
        f"eval.crops {config.eval.crops}": config.eval.crops > 1,
    }
    for obstacle, is_there in obstacles.items():
        if is_there:
            raise ValueError(f"config.train.cached_views is {count}; allowed with {obstacle}: 0")
    fixed_frames = create_sampling(config.clip).is_fixed and config.clip.crop == "resize"
    if count > 1 and fixed_frames and not changes_clips(config.augment):
        raise ValueError(
            f"config.train.cached_views is {count}, but neither config.augment nor config.clip.sampling changes a "
            "clip: all its views would be the same; allowed: 0 or 1"
        )


def on_cached_features(run: Run, variables: dict[str, PyTree], workdir: Path) -> Run:
    """Returns the run with batches and validation of cached features instead of frames.

    Args:
      run: of a model whose features are cached (`are_cached`).
      variables: of the model, at any step: the frozen ones do not change.
      workdir: of the run; it holds the cache where `config.train.feature_cache` names no other directory.
    """
    config, train, val = run.config, run.splits.train, run.splits.val
    root = Path(config.train.feature_cache).expanduser() if config.train.feature_cache else workdir / _DIRECTORY
    extractor = create_extractor(root, config, variables, train, augments=False)
    digests = clip_digests(train)
    plain = training_views(train, digests, config.clip, 0)
    train_rows = cached_rows(extractor, train, plain)
    views = validation_views(val, clip_digests(val), config.clip, config.eval.clips)
    val_rows = cached_rows(extractor, val, views)
    if config.train.cached_views > 1:
        extractor = create_extractor(root, config, variables, train, augments=True)
        numbers = range(1, config.train.cached_views)
        drawn = [view for number in numbers for view in training_views(train, digests, config.clip, number)]
        train_rows = train_rows.followed_by(cached_rows(extractor, train, drawn))
    classifier = compile_classifier(run.model)
    clip_index = np.asarray([view.position for view in views])

    first, count = parallel.process_shard()
    own = np.arange(first, len(val_rows), count)
    # Each process takes its part, so that all have the same metrics to the last bit, and stop at the same step.
    order = np.argsort(parallel.gather_rows(own))
    # One row at least, as there may be more processes than rows.
    own_rows = val_rows.part(own if len(own) else np.zeros(1, int))

    def validate(state: TrainState) -> dict[str, float]:
        outputs = classify(classifier, state.evaluated_variables, own_rows, config.eval.batch_size)
        outputs = parallel.gather_rows(outputs[: len(own)])[order]
        return validation_metrics(of_videos(val, clip_index, outputs), config)

    labels = train.metadata.labels[[view.position for view in plain]]
    resident = is_resident(config, train_rows.num_bytes)
    size = config.train.batch_size
    batches = feature_batches(
        train_rows, labels, batch_size=size, seed=config.seed, resident=resident, shard=(first, count)
    )
    run = dataclasses.replace(run, batches=batches, validate=validate)
    if not resident:
        return run
    logging.info("%d features stay in device memory: %.1f MB", len(train_rows), train_rows.num_bytes / 1e6)
    return with_table(run, {"features": for_head(train_rows.all())})


class Extractor(NamedTuple):
    """The frozen part of a model as a function, with the store of its features.

    Attributes:
      store: directory, named after the compiled program and the weights.
      features: `inputs` -> features by name, on the devices of this process.
      row_bytes: size of a row on disk.
      config: of the run.
    """

    store: Path
    features: Callable[[PyTree], dict[str, Array]]
    row_bytes: int
    config: ConfigDict


def create_extractor(
    root: Path, config: ConfigDict, variables: dict[str, PyTree], split: ClipSplit, *, augments: bool
) -> Extractor:
    """Creates an extractor; it compiles at its first call.

    Its store is found by the program that XLA is given, without the size of a batch, by the frozen weights and by the
    settings of the sound: models that differ in their heads alone share it, and so do folds and seeds. Another version
    of JAX may write another program, and then computes its features again.

    Args:
      root: directory of the stores.
      config: of the run.
      variables: of the model.
      split: any one with clips of the size that is to come.
      augments: whether the views are augmented.
    """
    frozen = {
        name: {module: values for module, values in collection.items() if module != "head"}
        for name, collection in variables.items()
    }
    model = module_from_config(config.model)
    step = partial(_extract, model=model, config=ml_collections.FrozenConfigDict(config), augments=augments)
    halves = config.train.cached_views > 0
    one_view = View(0, np.zeros(config.clip.num_frames, int), 0, "")
    _, example = next(load_views(split, [one_view], config, 1))
    # The devices of arrays are part of a program: it is lowered for one, however many there are.
    shapes_of_frozen = parallel.shapes_on_one_device(frozen)
    program = jax.jit(step).lower(shapes_of_frozen, example).as_text()
    key = {
        "program": hashlib.sha256(program.encode()).hexdigest(),
        "weights": _digest(frozen),
        "audio": config.audio.to_dict(),
        "half_precision": halves,
    }
    shapes = jax.eval_shape(step, shapes_of_frozen, example)
    row_bytes = sum(leaf.size * (2 if halves and leaf.dtype == jnp.float32 else 4) for leaf in jax.tree.leaves(shapes))
    on_devices = parallel.over_local_devices(step)
    store = root / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    return Extractor(store, partial(on_devices, frozen), row_bytes, config)


def _extract(
    variables: dict[str, PyTree], inputs: dict[str, Array], *, model: ClipModel, config: ConfigDict, augments: bool
) -> dict[str, Array]:
    if augments:
        keys = jax.vmap(jax.random.key)(inputs["seed"])
        frames = augmented(inputs["frames"], keys, config.clip, config.augment)
    else:
        frames = preprocess(inputs["frames"], config.clip)
    # Flax declares also the updated variables, which this call does not ask for.
    features: Any = model.apply(variables, network_input(inputs, frames, model, config.audio), method="extract")
    return features if isinstance(features, dict) else {_ONLY: features}


def _digest(tree: PyTree) -> str:
    """Returns the SHA-256 of the names, types, shapes and values in a tree of arrays."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        values = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}\0".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def cached_rows(extractor: Extractor, split: ClipSplit, views: Sequence[View]) -> FeatureRows:
    """Returns the features of views of a split, a row each; those that the store lacks are computed.

    Several processes of a run share the work.
    """
    names = [view.name for view in views]
    first, count = parallel.process_shard()
    if count > 1 or missing_rows(extractor.store, names):
        # Other runs wait for the first process of this one.
        with locked(extractor.store) if first == 0 else contextlib.nullcontext():
            processes.wait_for_all("store")
            # Another run may have computed them in the meantime.
            missing = missing_rows(extractor.store, names)
            message = "%s: features of %d views of clips, %d of them to be computed; all take %.1f MB in %s"
            size = len(set(names)) * extractor.row_bytes / 1e6
            logging.info(message, split.name, len(names), len(missing), size, extractor.store)
            processes.wait_for_all("missing rows")
            if first == 0:
                _describe(extractor)
            _compute(extractor, split, [views[position] for position in missing[first::count]])
            processes.wait_for_all("features")
        # Where processes have directories of their own, each computes the others' parts as well.
        _compute(extractor, split, [views[position] for position in missing_rows(extractor.store, names)])
    return open_rows(extractor.store, names)


def _describe(extractor: Extractor) -> None:
    """Writes to the store, for people, what its features were first computed for."""
    sections = {name: extractor.config[name].to_dict() for name in ("dataset", "model", "clip", "audio", "augment")}
    with replacing(extractor.store / _DESCRIPTION_FILE) as unfinished:
        unfinished.write_text(json.dumps(sections, indent=2) + "\n")


def _compute(extractor: Extractor, split: ClipSplit, views: Sequence[View]) -> None:
    if not views:
        return
    config, writer = extractor.config, Writer(extractor.store)
    loaded = load_views(split, views, config, config.pipeline.num_threads)
    progress = iter(tqdm(loaded, f"Features of {split.name}", len(views), unit="view"))
    for batch in evaluation_batches(progress, parallel.local_multiple(config.eval.batch_size)):
        outputs = {name: np.asarray(values)[batch.mask] for name, values in extractor.features(batch.inputs).items()}
        if config.train.cached_views:
            outputs = {name: halved(values) for name, values in outputs.items()}
        writer.add([views[number].name for number in batch.clip_index[batch.mask]], outputs)
    writer.finish()


def feature_batches(
    features: FeatureRows,
    labels: Int[np.ndarray, "sample"],
    *,
    batch_size: int,
    seed: int,
    resident: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> grain.DatasetIterator:
    """Returns endless batches `{"features": for the head, "label": int32}`, like `training_batches`.

    In every epoch, each sample is one of its views, drawn at random.

    Args:
      features: of view 0 of all samples, of view 1 of all samples, and so on.
      labels: of the samples.
      batch_size: samples per batch of all processes together, a multiple of their number.
      seed: seed of order and views.
      resident: whether batches have ROWS, those of the features, in place of `features`.
      shard: (index, count) of this process, which gets that part of every batch.
    """
    num_views, num_rows = len(features) // len(labels), batch_size // shard[1]
    own = slice(shard[0] * num_rows, (shard[0] + 1) * num_rows)

    def load(samples: Int[np.ndarray, "batch"], rng: np.random.Generator) -> dict[str, PyTree[np.ndarray]]:
        views = rng.integers(num_views, size=len(samples))
        rows, label = (views * len(labels) + samples)[own], labels[samples[own]].astype(np.int32)
        if resident:
            return {ROWS: rows.astype(np.int32), "label": label}
        return {"features": for_head(features.take(rows)), "label": label}

    dataset = (
        grain.MapDataset.range(len(labels)).seed(seed).shuffle().repeat(ENDLESS).batch(batch_size).random_map(load)
    )
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
    classifier: Classifier, variables: dict[str, PyTree], features: FeatureRows, batch_size: int
) -> Float[np.ndarray, "row classes"]:
    """Returns the class probabilities of every row."""
    size = parallel.local_multiple(batch_size)
    parts = (np.arange(first, min(first + size, len(features))) for first in range(0, len(features), size))
    outputs = (
        parallel.in_batches(partial(classifier, variables), for_head(features.take(rows)), size) for rows in parts
    )
    return np.concatenate([output for part in outputs for output in part])
