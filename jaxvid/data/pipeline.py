"""The input pipeline: positions -> records -> sampled frames -> decoded pictures -> batches of uint8, with Grain."""

from collections.abc import Iterator
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, Int, UInt8

from jaxvid.data.clips import Clip, ClipSplit, decode_frames
from jaxvid.data.sampling import evaluation_frames, training_frames, windows_per_clip
from jaxvid.types import ConfigDict

# Epochs. Grain's own endless repetition has a length that overflows in batches of one.
ENDLESS = 2**40


class EvaluationBatch(NamedTuple):
    """Views of clips, padded to a full batch.

    Attributes:
      frames: the pictures; zeros where `mask` is False.
      clip_index: position of each view's clip in its split.
      mask: which rows are views.
    """

    frames: UInt8[np.ndarray, "batch time height width 3"]
    clip_index: Int[np.ndarray, "batch"]
    mask: Bool[np.ndarray, "batch"]


def training_batches(
    split: ClipSplit,
    clip: ConfigDict,
    *,
    batch_size: int,
    seed: int,
    num_threads: int,
    num_workers: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> grain.DatasetIterator:
    """An endless iterator over batches `{"frames": uint8 (batch, time, height, width, 3), "label": int32 (batch,)}`.

    A sample is a clip, of which `clip.sampling` draws the frames, or, with sampling 'sliding_window', a window of a
    clip. Each epoch has an order of its own, and batches run on across its end, so that none is incomplete. The
    iterator's `get_state` and `set_state` hold its position.

    Args:
      split: the clips.
      clip: that section of the config.
      batch_size: of all processes together, a multiple of their number.
      seed: of order and sampling.
      num_threads: that read and decode, in each worker; each holds a batch.
      num_workers: worker processes; 0 reads in this one.
      shard: (index, count) of this process, which gets that part of every global batch: rows and random draws are the
        same whatever the number of processes.
    """
    num_rows = batch_size // shard[1]
    own_rows = slice(shard[0] * num_rows, (shard[0] + 1) * num_rows)

    # The samples of clip i are those from first_samples[i] on, up to those of the next.
    counts = windows_per_clip(split.catalogue.num_frames, clip)
    first_samples = np.cumsum(counts) - counts

    def load(samples: Int[np.ndarray, "global_batch"], rng: np.random.Generator) -> dict[str, np.ndarray]:
        seeds = rng.integers(2**63, size=len(samples))
        positions = np.searchsorted(first_samples, samples, side="right") - 1
        windows = samples - first_samples[positions]
        own = zip(*(column[own_rows].tolist() for column in (positions, windows, seeds)), strict=True)
        rows = [_load(split[position], clip, window, seed) for position, window, seed in own]
        frames, labels = zip(*rows, strict=True)
        return {"frames": np.stack(frames), "label": np.asarray(labels, np.int32)}

    dataset = (
        grain.MapDataset.range(int(counts.sum()))
        .seed(seed)
        .shuffle()
        .repeat(ENDLESS)
        .batch(batch_size)
        .random_map(load)
    )
    loaded = dataset.to_iter_dataset(grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads))
    if num_workers:
        loaded = loaded.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers))
    return iter(loaded)


def _load(
    stored: Clip, clip: ConfigDict, window: int, seed: int
) -> tuple[UInt8[np.ndarray, "time height width 3"], int]:
    if clip.sampling == "sliding_window":
        frames = evaluation_frames(len(stored.frames), stored.fps, clip)[window]
    else:
        frames = training_frames(len(stored.frames), stored.fps, clip, np.random.default_rng(seed))
    return decode_frames(stored.frames, frames), stored.label


def evaluation_views(
    split: ClipSplit, clip: ConfigDict, *, num_threads: int, num_views: int = 0, shard: tuple[int, int] = (0, 1)
) -> Iterator[tuple[int, UInt8[np.ndarray, "view time height width 3"]]]:
    """Every clip of the shard once: its position in the split and its views (see `evaluation_frames`)."""

    def load(position: int) -> tuple[int, np.ndarray]:
        return position, clip_views(split[position], clip, num_views)

    dataset = grain.MapDataset.range(len(split))[shard[0] :: shard[1]].map(load)
    return iter(
        dataset.to_iter_dataset(grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads))
    )


def clip_views(stored: Clip, clip: ConfigDict, num_views: int = 0) -> UInt8[np.ndarray, "view time height width 3"]:
    """The views of one clip in evaluation; a frame that several of them show is decoded once."""
    frames = evaluation_frames(len(stored.frames), stored.fps, clip, num_views)
    pictures = decode_frames(stored.frames, frames.reshape(-1))
    return pictures.reshape(*frames.shape, *pictures.shape[1:])


def evaluation_batches(
    views: Iterator[tuple[int, UInt8[np.ndarray, "view time height width 3"]]], batch_size: int
) -> Iterator[EvaluationBatch]:
    """Views in full batches; the last one is padded with zeros and masked."""
    rows = ((position, view) for position, clip_view in views for view in clip_view)
    batch: list[tuple[int, np.ndarray]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == batch_size:
            yield _pad(batch, batch_size)
            batch = []
    if batch:
        yield _pad(batch, batch_size)


def _pad(rows: list[tuple[int, np.ndarray]], batch_size: int) -> EvaluationBatch:
    frames = np.zeros((batch_size, *rows[0][1].shape), np.uint8)
    frames[: len(rows)] = [view for _, view in rows]
    clip_index = np.zeros(batch_size, int)
    clip_index[: len(rows)] = [position for position, _ in rows]
    return EvaluationBatch(frames, clip_index, np.arange(batch_size) < len(rows))
