"""A trained network as something to ask: about pictures in memory, video files and streams."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int16, PyTree, UInt8

from jaxvid import parallel, trained
from jaxvid.data.audio import sound_inputs
from jaxvid.predict.events import Timeline
from jaxvid.predict.windows import Window, WindowPlan, plan_windows, windows
from jaxvid.trained import Probabilities
from jaxvid.types import ConfigDict, Inputs
from jaxvid.video.sound import Sound, open_sound
from jaxvid.video.streams import TimedFrame, ahead, decode_stream, open_video, video_seconds, video_start

# Windows that go through the network together.
_BATCH_SIZE = 4

Watcher = Callable[[Window, np.ndarray, float | None], None]


def load(workdir: Path | str, which: str = "best", *, batch_size: int = _BATCH_SIZE) -> "Predictor":
    """The network of a training run.

    Args:
      workdir: of the run.
      which: "best", "last", or the number of a step.
      batch_size: windows that go through the network together.

    Raises:
      ValueError: if the workdir is of no run, of another version, or has no such checkpoint.
    """
    run = trained.load(Path(workdir), which)
    return Predictor(run.config, run.variables, parallel.local_multiple(batch_size), run.probabilities)


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network with its classes.

    Attributes:
      config: of the training run.
      variables: of the network.
      batch_size: windows that go through the network together.
      probabilities: `(variables, frames)` -> class probabilities, compiled at the first call.
    """

    config: ConfigDict
    variables: PyTree
    batch_size: int
    probabilities: Probabilities

    @property
    def class_names(self) -> list[str]:
        """The classes, in the order of the probabilities; of two, the second is the positive one."""
        return list(self.config.dataset.class_names)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the frames that `classify` takes."""
        height, width = self.config.dataset.frame_size
        return height, width

    def classify(
        self,
        clips: UInt8[np.ndarray, "batch time height width 3"],
        *,
        sounds: Sequence[Int16[np.ndarray, "_"]] | None = None,
        num_frames: Sequence[int] | None = None,
    ) -> Float[np.ndarray, "batch classes"]:
        """Class probabilities of clips that have the network's number of frames and `frame_size` already.

        Args:
          clips: RGB.
          sounds: of a network that hears, each clip's 16-bit samples at `config.audio.sample_rate`, of any number; none
            for a clip without sound, as are all by default.
          num_frames: of a network of sequences, how many frames of each clip count; all by default.

        Raises:
          ValueError: if the clips have another shape.
        """
        expected = (self.config.clip.num_frames, *self.frame_size, 3)
        if clips.shape[1:] != expected:
            raise ValueError(
                f"clips have the shape {clips.shape}; expected is (batch, {', '.join(map(str, expected))})"
            )
        counts = num_frames or [clips.shape[1]] * len(clips)
        return self._classified(self._inputs(clips, counts, sounds or [np.zeros(0, np.int16)] * len(clips)))

    def inputs(self, windows: Sequence[Window]) -> Inputs:
        """What the network takes of windows, a row for each."""
        return self._inputs(
            np.stack([window.frames for window in windows]),
            [window.num_frames for window in windows],
            [window.audio for window in windows],
        )

    def _inputs(self, clips: np.ndarray, num_frames: Sequence[int], sounds: Sequence[np.ndarray]) -> Inputs:
        inputs = {"frames": clips, "num_frames": np.asarray(num_frames, np.int32)}
        return inputs | sound_inputs(sounds, self.config.audio) if self.config.audio.sample_rate else inputs

    def _classified(self, inputs: Inputs) -> np.ndarray:
        outputs = parallel.in_batches(partial(self.probabilities, self.variables), inputs, self.batch_size)
        return np.concatenate([np.zeros((0, len(self.class_names)), np.float32), *outputs])

    def plan(self, *, window_seconds: float | None = None, stride_seconds: float | None = None) -> WindowPlan:
        """The windows of this network (`plan_windows`)."""
        return plan_windows(self.config, window_seconds, stride_seconds)

    def follow(
        self,
        frames: Iterable[TimedFrame],
        plan: WindowPlan,
        *,
        batch_size: int | None = None,
        sound: Sound | None = None,
        more_waiting: Callable[[], bool] | None = None,
    ) -> Generator[tuple[Window, Float[np.ndarray, "classes"]], None, None]:
        """Every window of a stream of frames of `frame_size`, with its probabilities, as they become known.

        With a `batch_size` of 1 each at once; `sound` and `more_waiting` as in `windows`.
        """
        size = batch_size or self.batch_size
        batch: list[Window] = []
        for window in windows(frames, plan, sound=sound, more_waiting=more_waiting):
            batch.append(window)
            if len(batch) == size:
                yield from zip(batch, self._classified(self.inputs(batch)), strict=True)
                batch = []
        if batch:
            yield from zip(batch, self._classified(self.inputs(batch)), strict=True)

    def predict_frames(
        self,
        frames: UInt8[np.ndarray, "time height width 3"],
        fps: float,
        *,
        audio: Int16[np.ndarray, "sample"] | None = None,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
    ) -> Timeline:
        """What the network says along a video in memory, RGB frames of any size.

        Args:
          frames: in order of time.
          fps: frames a second.
          audio: the sound, for a network that hears: 16-bit samples at `config.audio.sample_rate`.
          window_seconds: another length of the windows (`plan_windows`).
          stride_seconds: between windows.

        Raises:
          ValueError: if there are no frames, or a number is not positive.
        """
        if not len(frames) or fps <= 0:
            raise ValueError(f"{len(frames)} frames at {fps:g} a second; allowed: at least one, and above 0")
        plan = self.plan(window_seconds=window_seconds, stride_seconds=stride_seconds)
        timed = (TimedFrame(i / fps, _resize(frame, self.frame_size)) for i, frame in enumerate(frames))
        sound = None if audio is None else Sound(iter([(0.0, audio)]), self.config.audio.sample_rate)
        return self._timeline(self.follow(timed, plan, sound=sound))

    def predict_video(
        self,
        path: Path | str,
        *,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        watch: Watcher = lambda window, probabilities, total: None,
    ) -> Timeline:
        """What the network says along a video file of any length; decoding goes on while the network works.

        Args:
          path: of the file.
          window_seconds: another length of the windows (`plan_windows`).
          stride_seconds: between windows.
          watch: shown every window with its probabilities, and told how long the video is in seconds, where known.

        Raises:
          InvalidVideoError: if the file is no video, has no frames, or breaks off.
          ValueError: if a number is not positive.
        """
        plan = self.plan(window_seconds=window_seconds, stride_seconds=stride_seconds)
        with (
            open_video(path) as container,
            open_sound(path, self.config.audio.sample_rate, video_start(container)) as sound,
            contextlib.closing(ahead(decode_stream(container, Path(path), self.frame_size))) as frames,
        ):
            return self._timeline(_shown(self.follow(frames, plan, sound=sound), video_seconds(container), watch))

    def _timeline(self, followed: Iterable[tuple[Window, np.ndarray]]) -> Timeline:
        rows = [(window.start, window.end, probabilities) for window, probabilities in followed]
        starts, ends, outputs = zip(*rows, strict=True)
        return Timeline(np.asarray(starts), np.asarray(ends), np.stack(outputs), self.class_names)


def _shown(
    followed: Iterable[tuple[Window, np.ndarray]], total: float | None, watch: Watcher
) -> Generator[tuple[Window, np.ndarray], None, None]:
    for window, probabilities in followed:
        watch(window, probabilities, total)
        yield window, probabilities


def _resize(
    frame: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    # Not at the top: a video file needs no OpenCV.
    import cv2

    if frame.shape[:2] == size:
        return frame
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
