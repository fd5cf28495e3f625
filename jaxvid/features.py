"""A frozen backbone's features, computed once for every clip, so that an epoch of head training takes seconds."""

from functools import partial
from pathlib import Path
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, PyTree
from tqdm import tqdm

from jaxvid import parallel
from jaxvid.data.augment import preprocess
from jaxvid.data.clips import ClipSplit
from jaxvid.data.pipeline import ENDLESS, evaluation_batches, evaluation_views
from jaxvid.files import replacing
from jaxvid.types import ConfigDict

_DIRECTORY = "features"


def are_constant(config: ConfigDict) -> bool:
    """Whether a clip gives the backbone the same input at every step, and the backbone the same features."""
    augment = config.augment
    changes = augment.flip or augment.min_scale < 1 or augment.brightness or augment.contrast or augment.erasing
    if config.activations.policy != "fixed" or config.eval.clips > 1:
        return False
    same_input = config.clip.sampling == "uniform" and config.clip.crop == "resize" and not changes
    frozen = config.model.name == "backbone_lstm" and config.model.trainable == "head"
    return frozen and same_input and not augment.mixup and jax.process_count() == 1


def cached_features(
    workdir: Path, model: nn.Module, variables: dict[str, PyTree], split: ClipSplit, config: ConfigDict
) -> Float[np.ndarray, "clip time feature"]:
    """The features of every clip of a split, from a file of the workdir, which the first call writes.

    They stay on disk (memory-mapped): 10,000 clips of 40 frames of Inception v3 are 3.3 GB.
    """
    path = workdir / _DIRECTORY / f"{split.name.replace('/', '-')}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            _extract(unfinished, model, variables, split, config)
    return np.load(path, mmap_mode="r")


def _extract(path: Path, model: nn.Module, variables: dict[str, PyTree], split: ClipSplit, config: ConfigDict) -> None:
    def step(variables: dict[str, PyTree], frames: Array) -> Any:
        return model.apply(variables, preprocess(frames, config.clip), method="extract")

    on_devices = parallel.over_local_devices(step)
    views = evaluation_views(split, config.clip, num_threads=config.pipeline.num_threads)
    progress = iter(tqdm(views, f"Features of {split.name}", len(split), unit="clip"))
    stored = None
    for batch in evaluation_batches(progress, parallel.local_multiple(config.eval.batch_size)):
        features = np.asarray(on_devices(variables, parallel.split_over_devices(batch.frames)))
        features = features.reshape(len(batch.mask), *features.shape[2:])
        if stored is None:
            shape = (len(split), *features.shape[1:])
            stored = np.lib.format.open_memmap(path, "w+", dtype=np.float32, shape=shape)
        stored[batch.clip_index[batch.mask]] = features[batch.mask]
    assert stored is not None
    stored.flush()


def feature_batches(
    features: Float[np.ndarray, "clip time feature"],
    labels: Int[np.ndarray, "clip"],
    *,
    batch_size: int,
    seed: int,
) -> grain.DatasetIterator:
    """Like `training_batches`, an endless iterator, over `{"features": float32, "label": int32}`."""

    def load(positions: Int[np.ndarray, "batch"]) -> dict[str, np.ndarray]:
        return {"features": np.asarray(features[positions]), "label": labels[positions].astype(np.int32)}

    dataset = grain.MapDataset.range(len(labels)).seed(seed).shuffle().repeat(ENDLESS).batch(batch_size).map(load)
    return iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)))


def compile_classifier(model: nn.Module) -> Any:
    """`(variables, features)` -> class probabilities on the devices of this process."""

    def step(variables: dict[str, PyTree], features: Array) -> Array:
        return jax.nn.softmax(jnp.asarray(model.apply(variables, features, train=False, method="classify")))

    return parallel.over_local_devices(step)


def classify(
    classifier: Any, variables: dict[str, PyTree], features: Float[np.ndarray, "clip time feature"], batch_size: int
) -> Float[np.ndarray, "clip classes"]:
    """Class probabilities of every clip, in batches padded to one size."""
    size = parallel.local_multiple(batch_size)
    return np.concatenate(list(parallel.in_batches(partial(classifier, variables), features, size)))
