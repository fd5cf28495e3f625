"""Windows of videos through a network in full batches, each frame only once where the network allows it.

Windows overlap: by default every frame is in four of them. A network that first computes features of single frames, and
then looks at their sequence, need not see a frame again for every window (`jaxvid.models.framewise`).
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from jaxvid.predict.windows import Window
from jaxvid.types import Inputs

# Windows that may wait for their frames before an incomplete batch of frames is computed, as in a still picture.
_MAX_WAITING = 256


class Classified(NamedTuple):
    """A window with what the network says of it.

    Attributes:
      video: number of the video among those that are predicted together.
      window: the window.
      probabilities: of the classes.
    """

    video: int
    window: Window
    probabilities: Float[np.ndarray, "classes"]


@dataclasses.dataclass(frozen=True)
class FrameFeatures:
    """How features of single frames are computed.

    Attributes:
      compute: from a batch of frames to their features, which have a row for each frame.
      batch_size: frames per batch.
    """

    compute: Callable[[UInt8[np.ndarray, "frame height width 3"]], Float[np.ndarray, "frame crop feature"]]
    batch_size: int


@dataclasses.dataclass(eq=False)
class _Frame:
    """A frame of a video; the image until the features are computed."""

    image: np.ndarray | None
    features: np.ndarray | None = None


class _Waiting(NamedTuple):
    """A window that is not classified yet, with its frames if they have features."""

    video: int
    window: Window
    frames: Sequence[_Frame]


class WindowClassifier:
    """Classifies windows of one or more videos in the order in which they are added.

    Memory is bounded by the batches: images are dropped once they have features, and features once no window of their
    video can need them any more.
    """

    def __init__(
        self,
        classify: Callable[[Inputs], Float[np.ndarray, "window classes"]],
        inputs: Callable[[Sequence[Window]], Inputs],
        batch_size: int,
        frame_features: FrameFeatures | None = None,
    ):
        """Makes one that has seen no window.

        Args:
          classify: from inputs with `frames`, or with `features` if there are `frame_features`, to
            probabilities.
          inputs: returns the other inputs of windows, those beside `frames` or `features`.
          batch_size: windows per batch.
          frame_features: how the features of single frames are computed; None if the network takes whole clips.
        """
        self._classify, self._inputs, self._batch_size = classify, inputs, batch_size
        self._frame_features = frame_features
        self._frames: dict[int, dict[int, _Frame]] = collections.defaultdict(dict)
        self._without_features: collections.deque[_Frame] = collections.deque()
        self._waiting: collections.deque[_Waiting] = collections.deque()

    def add(self, video: int, window: Window) -> Iterator[Classified]:
        """Takes the next window of a video; yields those whose batch is now full."""
        frames = self._frames_of(video, window) if self._frame_features else ()
        self._waiting.append(_Waiting(video, window, frames))
        if self._frame_features:
            self._compute_features(self._frame_features, everything=len(self._waiting) > _MAX_WAITING)
        while self._is_ready():
            yield from self._classified(self._batch_size)

    def prepare(self, video: int, frames: Iterable[tuple[int, UInt8[np.ndarray, "height width 3"]]]) -> None:
        """Computes the features of frames that a window is going to show, before it has come."""
        if not self._frame_features:
            return
        for number, image in frames:
            self._frame(video, number, image)
        self._compute_features(self._frame_features, everything=True)

    def finish(self) -> Iterator[Classified]:
        """Yields the windows that are left."""
        if self._frame_features:
            self._compute_features(self._frame_features, everything=True)
        while self._waiting:
            yield from self._classified(min(self._batch_size, len(self._waiting)))

    def forget(self, video: int) -> None:
        """Drops what is kept for further windows of a video."""
        self._frames.pop(video, None)

    def _frames_of(self, video: int, window: Window) -> Sequence[_Frame]:
        kept, first = self._frames[video], window.numbers[0]
        # Later windows begin later.
        for number in [number for number in kept if number < first]:
            del kept[number]
        return [self._frame(video, *pair) for pair in zip(window.numbers, window.images, strict=True)]

    def _frame(self, video: int, number: int, image: np.ndarray) -> _Frame:
        kept = self._frames[video]
        if number not in kept:
            kept[number] = _Frame(image)
            self._without_features.append(kept[number])
        return kept[number]

    def _compute_features(self, frame_features: FrameFeatures, *, everything: bool) -> None:
        """Computes features batch by batch; `everything`: those of an incomplete last batch too."""
        least = 1 if everything else frame_features.batch_size
        while len(self._without_features) >= least:
            count = min(frame_features.batch_size, len(self._without_features))
            batch = [self._without_features.popleft() for _ in range(count)]
            images = np.stack([frame.image for frame in batch if frame.image is not None])
            for frame, features in zip(batch, frame_features.compute(images), strict=True):
                frame.image, frame.features = None, features

    def _is_ready(self) -> bool:
        """Returns whether a batch of windows is full, and has all features."""
        if len(self._waiting) < self._batch_size:
            return False
        # Frames get their features in the order of the windows.
        return all(frame.features is not None for frame in self._waiting[self._batch_size - 1].frames)

    def _classified(self, count: int) -> Iterator[Classified]:
        batch = [self._waiting.popleft() for _ in range(count)]
        inputs = self._inputs([waiting.window for waiting in batch])
        if self._frame_features:
            inputs["features"] = np.stack([_features(waiting.frames) for waiting in batch])
        else:
            inputs["frames"] = np.stack([waiting.window.frames for waiting in batch])
        for (video, window, _), probabilities in zip(batch, self._classify(inputs), strict=True):
            yield Classified(video, window, probabilities)


def _features(frames: Sequence[_Frame]) -> Float[np.ndarray, "time crop feature"]:
    return np.stack([frame.features for frame in frames if frame.features is not None])
