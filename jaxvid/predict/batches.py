"""Windows of videos through a network in full batches, each frame only once where the network allows it.

Windows overlap: by default every frame is in four of them. A network that computes features of single frames, or of
neighboring ones, and then looks at their sequence, need not see a frame again for every window
(`ClipModel.feature_span`).
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from jaxvid.predict.windows import Window
from jaxvid.types import Inputs

# Windows that may wait for their frames before an incomplete batch of frames is computed, as in a still picture.
_MAX_WAITING = 256


class Outputs(NamedTuple):
    """What a network says of clips.

    Attributes:
      probabilities: of the classes.
      embeddings: of the clips (`jaxvid.models.embedding`); None where none are asked for.
    """

    probabilities: Float[np.ndarray, "batch classes"]
    embeddings: Float[np.ndarray, "batch embedding"] | None = None


class Classified(NamedTuple):
    """A window with what the network says of it.

    Attributes:
      video: number of the video among those that are predicted together.
      window: the window.
      probabilities: of the classes.
      embedding: None where none is asked for.
    """

    video: int
    window: Window
    probabilities: Float[np.ndarray, "classes"]
    embedding: Float[np.ndarray, "embedding"] | None = None


@dataclasses.dataclass(frozen=True)
class StreamFeatures:
    """How the features of frames in a row are computed.

    Attributes:
      compute: from frames to features, a row for each frame: of that frame and of the `span - 1` before it.
      span: frames from which a feature is computed.
      batch_size: frames per batch.
      run_length: frames of a batch that are in a row; in the next ones, which another device may have, another row
        begins. The first `span - 1` features of a row mean nothing.
    """

    compute: Callable[[UInt8[np.ndarray, "frame height width 3"]], Float[np.ndarray, "frame crop feature"]]
    span: int
    batch_size: int
    run_length: int


@dataclasses.dataclass(eq=False)
class _Feature:
    """A feature of a video's frames; None until it is computed."""

    values: Float[np.ndarray, "crop feature"] | None = None


class _Row(NamedTuple):
    """A frame of the next batches, and the feature that is computed of it and the frames before it, if one is."""

    video: int
    number: int
    image: UInt8[np.ndarray, "height width 3"]
    feature: _Feature | None


class _Waiting(NamedTuple):
    """A window that is not classified yet, with its features if there are any."""

    video: int
    window: Window
    features: Sequence[_Feature]


class _FeatureStore:
    """The features of videos: computed in full batches, each once, and kept as long as windows may need them."""

    def __init__(self, stream_features: StreamFeatures):
        self._how = stream_features
        # By video, and by the numbers of the frames of a feature.
        self._kept: dict[int, dict[tuple[int, ...], _Feature]] = collections.defaultdict(dict)
        self._rows: list[_Row] = []

    def request(
        self, video: int, numbers: Sequence[int], images: Sequence[UInt8[np.ndarray, "height width 3"]]
    ) -> list[_Feature]:
        """Returns the features of frames of a video in their order; those that are new are computed later."""
        span, kept, features = self._how.span, self._kept[video], []
        for first in range(len(numbers) - span + 1):
            key = tuple(numbers[first : first + span])
            if key not in kept:
                kept[key] = _Feature()
                rows = [_Row(video, *pair, None) for pair in zip(key, images[first : first + span], strict=True)]
                rows[-1] = rows[-1]._replace(feature=kept[key])
                self._append(rows)
            features.append(kept[key])
        return features

    def forget(self, video: int, before: int | None = None) -> None:
        """Drops the features of a video that include a frame before that number; all by default."""
        if before is None:
            self._kept.pop(video, None)
            return
        kept = self._kept[video]
        for key in [key for key in kept if key[0] < before]:
            del kept[key]

    def compute(self, *, everything: bool) -> None:
        """Computes features batch by batch; `everything`: those of an incomplete last batch too."""
        size = self._how.batch_size
        while len(self._rows) >= (1 if everything else size):
            batch, self._rows = self._rows[:size], self._rows[size:]
            computed = self._how.compute(np.stack([row.image for row in batch]))
            for row, values in zip(batch, computed, strict=True):
                if row.feature is not None:
                    row.feature.values = values

    def _append(self, rows: list[_Row]) -> None:
        """Adds the frames of a feature to the next batches, without those that are the last ones there already."""
        run = self._rows[len(self._rows) // self._how.run_length * self._how.run_length :]
        while len(run) + len(rows) - _overlap(run, rows) > self._how.run_length:
            # The frames would not be in a row: the rest of this one stays unused.
            self._rows.append(run[-1]._replace(feature=None))
            run = [] if len(run) + 1 == self._how.run_length else [*run, self._rows[-1]]
        self._rows += rows[_overlap(run, rows) :]


def _overlap(run: Sequence[_Row], rows: Sequence[_Row]) -> int:
    """Returns how many of the first of `rows`, all but the last at most, are the last frames of a run."""
    for count in range(min(len(run), len(rows) - 1), 0, -1):
        if [(row.video, row.number) for row in run[-count:]] == [(row.video, row.number) for row in rows[:count]]:
            return count
    return 0


class WindowClassifier:
    """Classifies windows of one or more videos in the order in which they are added.

    Memory is bounded by the batches: images are dropped once their features are computed, and features once no window
    of their video can need them any more.
    """

    def __init__(
        self,
        classify: Callable[[Inputs], Outputs],
        inputs: Callable[[Sequence[Window]], Inputs],
        batch_size: int,
        stream_features: StreamFeatures | None = None,
    ):
        """Makes one that has seen no window.

        Args:
          classify: from inputs with `frames`, or with `features` if there are `stream_features`, to outputs.
          inputs: returns the other inputs of windows, those beside `frames` or `features`.
          batch_size: windows per batch.
          stream_features: how features are computed; None if the network takes whole clips.
        """
        self._classify, self._inputs, self._batch_size = classify, inputs, batch_size
        self._features = _FeatureStore(stream_features) if stream_features else None
        self._waiting: collections.deque[_Waiting] = collections.deque()

    def add(self, video: int, window: Window) -> Iterator[Classified]:
        """Takes the next window of a video; yields those whose batch is now full."""
        features = []
        if self._features:
            # Later windows begin later.
            self._features.forget(video, before=window.numbers[0])
            features = self._features.request(video, window.numbers, window.images)
        self._waiting.append(_Waiting(video, window, features))
        if self._features:
            self._features.compute(everything=len(self._waiting) > _MAX_WAITING)
        while self._is_ready():
            yield from self._classified(self._batch_size)

    def prepare(
        self, video: int, numbers: Sequence[int], images: Sequence[UInt8[np.ndarray, "height width 3"]]
    ) -> None:
        """Computes the features of the first frames of a window that has not come yet."""
        if self._features:
            self._features.request(video, numbers, images)
            self._features.compute(everything=True)

    def finish(self) -> Iterator[Classified]:
        """Yields the windows that are left."""
        if self._features:
            self._features.compute(everything=True)
        while self._waiting:
            yield from self._classified(min(self._batch_size, len(self._waiting)))

    def forget(self, video: int) -> None:
        """Drops what is kept for further windows of a video."""
        if self._features:
            self._features.forget(video)

    def _is_ready(self) -> bool:
        """Returns whether a batch of windows is full, and has all features."""
        if len(self._waiting) < self._batch_size:
            return False
        # Not of the last one alone: a window may have only features of earlier ones, before which other videos' wait.
        batch = itertools.islice(self._waiting, self._batch_size)
        return all(feature.values is not None for waiting in batch for feature in waiting.features)

    def _classified(self, count: int) -> Iterator[Classified]:
        batch = [self._waiting.popleft() for _ in range(count)]
        inputs = self._inputs([waiting.window for waiting in batch])
        if self._features:
            inputs["features"] = np.stack([_stacked(waiting.features) for waiting in batch])
        else:
            inputs["frames"] = np.stack([waiting.window.frames for waiting in batch])
        probabilities, embeddings = self._classify(inputs)
        for i, (video, window, _) in enumerate(batch):
            yield Classified(video, window, probabilities[i], None if embeddings is None else embeddings[i])


def _stacked(features: Sequence[_Feature]) -> Float[np.ndarray, "time crop feature"]:
    return np.stack([feature.values for feature in features if feature.values is not None])
