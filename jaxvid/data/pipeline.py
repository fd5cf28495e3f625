"""The input pipeline: positions -> records -> sampled frames -> decoded images -> batches of uint8, with Grain."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, Int, UInt8

from jaxvid.data.audio import sound_inputs
from jaxvid.data.dataset import ClipSplit
from jaxvid.data.records import Clip, decode_frames
from jaxvid.data.resident import FrameRows
from jaxvid.data.sampling import Sampling, create_sampling
from jaxvid.types import ConfigDict, Inputs

# In a batch, in place of the frames: their rows in an array of all frames, int32 (batch, time).
ROWS = "rows"

# Number of epochs. The length of Grain's endless repetition overflows with a batch size of one.
ENDLESS = 2**40


class EvaluationBatch(NamedTuple):
    """Views of clips, padded to a full batch.

    Attributes:
      inputs: inputs of the network as of `clip_inputs`; zeros where `mask` is False.
      clip_index: position of each view's clip in its split.
      mask: True for rows that are views, False for padding.
    """

    inputs: Inputs
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
    audio: ConfigDict | None = None,
    shard: tuple[int, int] = (0, 1),
    rows: FrameRows | None = None,
) -> grain.DatasetIterator:
    """Returns an endless iterator over batches of inputs (see `clip_inputs`) and `label`, int32 (batch,).

    A clip gives one sample or several, depending on the sampling scheme. Each epoch has its own order, and batches
    continue across its end, so that none is incomplete. The iterator's `get_state` and `set_state` hold its position.

    Args:
      split: the clips.
      clip: that section of the config.
      batch_size: clips per batch of all processes together, a multiple of their number.
      seed: seed of order and sampling.
      num_threads: threads that read and decode in each worker; each holds a batch.
      num_workers: worker processes; 0 reads in this one.
      audio: that section of the config; None for no sound.
      shard: (index, count) of this process, which gets that part of every global batch: rows and random draws are the
        same whatever the number of processes.
      rows: where frames are in an array of all; the batches then have ROWS in place of `frames`. By default frames are
        read and decoded.
    """
    num_rows = batch_size // shard[1]
    scheme = create_sampling(clip)
    counts = scheme.count(split.metadata.num_frames)
    load = _LoadBatch(split, scheme, audio, np.cumsum(counts) - counts, shard[0] * num_rows, num_rows, rows)
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
        _mark_flags_as_parsed()
        loaded = loaded.mp_prefetch(grain.MultiprocessingOptions(num_workers=num_workers))
    return iter(loaded)


@dataclasses.dataclass(frozen=True)
class _LoadBatch:
    """Loads this process's rows of a global batch; a class of the module, so that worker processes can unpickle it.

    Attributes:
      split: the clips.
      scheme: which frames a sample has.
      audio: that section of the config; None for no sound.
      first_samples: number of the first sample of every clip; its others follow.
      first_row: first row of the global batch that is this process's.
      num_rows: number of its rows.
      frame_rows: where frames are in an array of all; None to read them.
    """

    split: ClipSplit
    scheme: Sampling
    audio: ConfigDict | None
    first_samples: Int[np.ndarray, "clip"]
    first_row: int
    num_rows: int
    frame_rows: FrameRows | None = None

    def __call__(self, samples: Int[np.ndarray, "global_batch"], rng: np.random.Generator) -> dict[str, np.ndarray]:
        seeds = rng.integers(2**63, size=len(samples))
        positions = np.searchsorted(self.first_samples, samples, side="right") - 1
        of_clip = samples - self.first_samples[positions]
        own_rows = slice(self.first_row, self.first_row + self.num_rows)
        own = zip(*(column[own_rows].tolist() for column in (positions, of_clip, seeds)), strict=True)
        load = self._read if self.frame_rows is None else self._named
        rows = [load(position, sample, seed) for position, sample, seed in own]
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    def _read(self, position: int, sample: int, seed: int) -> Inputs:
        stored = self.split[position]
        frames = self._sampled(len(stored.frames), stored.fps, sample, seed)
        inputs = view_inputs(stored, frames[None], self.scheme.num_frames, self.audio)
        return {"label": np.asarray(stored.label, np.int32), **{key: values[0] for key, values in inputs.items()}}

    def _named(self, position: int, sample: int, seed: int) -> Inputs:
        """Returns what `_read` does, with ROWS in place of the frames; no record is read."""
        assert self.frame_rows is not None
        metadata = self.split.metadata
        num_frames = int(metadata.num_frames[position])
        frames = self._sampled(num_frames, float(metadata.fps[position]), sample, seed)
        return {
            "label": np.asarray(metadata.labels[position], np.int32),
            "num_frames": np.asarray(min(num_frames, self.scheme.num_frames), np.int32),
            ROWS: self.frame_rows.of(position, frames),
        }

    def _sampled(self, num_frames: int, fps: float, sample: int, seed: int) -> Int[np.ndarray, "time"]:
        return self.scheme.train(num_frames, fps, np.random.default_rng(seed), sample)


def _mark_flags_as_parsed() -> None:
    """Lets Grain start workers in programs that never parse absl's flags, which it reads."""
    # Not at the top: only worker processes need it.
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def require_fitting_clips(split: ClipSplit, clip: ConfigDict) -> None:
    """Checks that the sampling scheme suits the shortest and the longest clip.

    Raises:
      ValueError: if it does not, naming the clip.
    """
    scheme = create_sampling(clip)
    lengths = split.metadata.num_frames
    for position in (int(lengths.argmin()), int(lengths.argmax())):
        if misfit := scheme.misfit(int(lengths[position])):
            raise ValueError(
                f"config.clip.num_frames is {clip.num_frames}; {split.metadata.filenames[position]} of split "
                f"{split.name} has {lengths[position]}: {misfit}"
            )


def evaluation_views(
    split: ClipSplit,
    clip: ConfigDict,
    *,
    num_threads: int,
    num_views: int = 0,
    audio: ConfigDict | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[tuple[int, Inputs]]:
    """Yields every clip of the shard once: its position in the split and its views (see `clip_inputs`)."""

    def load(position: int) -> tuple[int, Inputs]:
        return position, clip_inputs(split[position], clip, num_views, audio)

    dataset = grain.MapDataset.range(len(split))[shard[0] :: shard[1]].map(load)
    return iter(
        dataset.to_iter_dataset(grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads))
    )


def clip_views(stored: Clip, clip: ConfigDict, num_views: int = 0) -> UInt8[np.ndarray, "view time height width 3"]:
    """Returns the images of the views of one clip in evaluation (`Sampling.evaluate`)."""
    return clip_inputs(stored, clip, num_views)["frames"]


def clip_inputs(stored: Clip, clip: ConfigDict, num_views: int = 0, audio: ConfigDict | None = None) -> Inputs:
    """Returns the views of one clip in evaluation as inputs of a network, one row per view.

    These are `frames`, uint8 (view, time, height, width, 3), and `num_frames`, int32 (view,): the number of real
    frames; the rest is padding. With a sample rate in `audio` there are also `audio`, int16 (view, sample), padded with
    zeros, and `num_samples`, int32 (view,): the number of real samples, 0 for a clip without sound.
    """
    frames = create_sampling(clip).evaluate(len(stored.frames), stored.fps, num_views)
    return view_inputs(stored, frames, clip.num_frames, audio)


def view_inputs(
    stored: Clip, frames: Int[np.ndarray, "view time"], num_frames: int, audio: ConfigDict | None
) -> Inputs:
    """Returns views of one clip, of which `frames` are taken, as inputs of a network (see `clip_inputs`)."""
    # A frame that several views show is decoded once.
    images = decode_frames(stored.frames, frames.reshape(-1))
    inputs = {
        "frames": images.reshape(*frames.shape, *images.shape[1:]),
        "num_frames": np.full(len(frames), min(len(stored.frames), num_frames), np.int32),
    }
    if audio is not None and audio.sample_rate:
        inputs |= sound_inputs([stored.audio] * len(frames), audio)
    return inputs


def evaluation_batches(views: Iterator[tuple[int, Inputs]], batch_size: int) -> Iterator[EvaluationBatch]:
    """Yields views in full batches; the last one is padded with zeros and masked."""
    rows = (
        (position, {key: values[view] for key, values in inputs.items()})
        for position, inputs in views
        for view in range(len(inputs["frames"]))
    )
    batch: list[tuple[int, Inputs]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == batch_size:
            yield _pad(batch, batch_size)
            batch = []
    if batch:
        yield _pad(batch, batch_size)


def _pad(rows: list[tuple[int, Inputs]], batch_size: int) -> EvaluationBatch:
    inputs = {
        key: np.zeros((batch_size, *np.shape(value)), np.asarray(value).dtype) for key, value in rows[0][1].items()
    }
    for key, padded in inputs.items():
        padded[: len(rows)] = [row[key] for _, row in rows]
    clip_index = np.zeros(batch_size, int)
    clip_index[: len(rows)] = [position for position, _ in rows]
    return EvaluationBatch(inputs, clip_index, np.arange(batch_size) < len(rows))
