"""The views of clips whose features are cached: which frames each one has, and the seed of its augmentation."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from jaxvid.data.dataset import ClipSplit
from jaxvid.data.pipeline import view_inputs
from jaxvid.data.sampling import create_sampling
from jaxvid.types import ConfigDict, Inputs


class View(NamedTuple):
    """One view of a clip.

    Attributes:
      position: of the clip in its split.
      frames: that are taken of it.
      seed: of its augmentation; not used by a view that has none.
      name: digest of the stored clip, `frames` and `seed`: the same in every split, run and order.
    """

    position: int
    frames: Int[np.ndarray, "time"]
    seed: int
    name: str


def clip_digests(split: ClipSplit) -> list[bytes]:
    """Returns a digest of all that is stored of every clip."""
    positions = tqdm(split.indices.tolist(), f"Reading {split.name}", unit="clip", leave=False)
    return [hashlib.blake2b(split.records[position], digest_size=16).digest() for position in positions]


def training_views(split: ClipSplit, digests: Sequence[bytes], clip: ConfigDict, number: int) -> list[View]:
    """Returns view `number` of every training sample (a clip, or one of its windows), in the order of the clips.

    View 0 is the plain one: the frames that evaluation takes, without augmentation. The others are drawn as training
    draws them, with seeds from the stored clip, the sample and the number of the view alone.
    """
    scheme = create_sampling(clip)
    counts = scheme.count(split.metadata.num_frames).tolist()
    views = []
    for position, (num_frames, fps) in enumerate(_lengths(split)):
        for sample in range(counts[position]):
            if number:
                rng = np.random.default_rng([*digests[position], sample, number])
                frames, seed = scheme.train(num_frames, fps, rng, sample), int(rng.integers(2**32))
            else:
                frames, seed = scheme.plain(num_frames, fps, sample), 0
            views.append(_view(digests[position], position, frames, seed))
    return views


def validation_views(split: ClipSplit, digests: Sequence[bytes], clip: ConfigDict, num_views: int) -> list[View]:
    """Returns all views of every clip in evaluation; `num_views` is `config.eval.clips`."""
    scheme = create_sampling(clip)
    return [
        _view(digests[position], position, frames, 0)
        for position, (num_frames, fps) in enumerate(_lengths(split))
        for frames in scheme.evaluate(num_frames, fps, num_views)
    ]


def _lengths(split: ClipSplit) -> Iterator[tuple[int, float]]:
    return zip(split.metadata.num_frames.tolist(), split.metadata.fps.tolist(), strict=True)


def _view(digest: bytes, position: int, frames: Int[np.ndarray, "time"], seed: int) -> View:
    drawn = np.asarray([seed, *frames], np.int64).tobytes()
    return View(position, frames, seed, hashlib.blake2b(digest + drawn, digest_size=16).hexdigest())


def load_views(
    split: ClipSplit, views: Sequence[View], config: ConfigDict, num_threads: int
) -> Iterator[tuple[int, Inputs]]:
    """Yields the position of every view in `views`, and its inputs as of `clip_inputs`, with `seed`, uint32 (1,)."""

    def load(number: int) -> tuple[int, Inputs]:
        view = views[number]
        inputs = view_inputs(split[view.position], view.frames[None], config.clip.num_frames, config.audio)
        return number, inputs | {"seed": np.asarray([view.seed], np.uint32)}

    dataset = grain.MapDataset.range(len(views)).map(load)
    return iter(
        dataset.to_iter_dataset(grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads))
    )
