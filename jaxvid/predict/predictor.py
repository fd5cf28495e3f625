"""Inference with a trained model on frames in memory, video files and streams."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int16, PyTree, UInt8

from jaxvid import parallel, trained
from jaxvid.calibration import NOT_CALIBRATED, Calibration
from jaxvid.classes import find_positive_class
from jaxvid.config import load_config
from jaxvid.data.audio import sound_inputs
from jaxvid.models.embedding import pooled
from jaxvid.predict.batches import Classified, Outputs, StreamFeatures, WindowClassifier
from jaxvid.predict.events import Thresholds, Timeline
from jaxvid.predict.reading import Reading, read_ahead, read_videos
from jaxvid.predict.videos import VideoPrediction, classified_videos
from jaxvid.predict.windows import Window, WindowPlan, plan_windows, windows
from jaxvid.trained import Embeddings, Probabilities, StreamPrograms
from jaxvid.types import ConfigDict, Inputs
from jaxvid.video.damage import Damage
from jaxvid.video.sound import Sound
from jaxvid.video.streams import TimedFrame
from jaxvid.video.workers import InvalidVideo

# Windows per batch; where windows share features, a batch of frames is as large as those of so many windows.
BATCH_SIZE = 4
# Batches of windows whose features are classified together: a recurrent network alone is small.
_BATCHES_OF_FEATURES = 4

# Called with every window.
Watcher = Callable[[Classified], None]

# Start, end and probabilities of a window.
_Row = tuple[float, float, np.ndarray]


def load(
    workdir: Path | str, which: str = "best", *, batch_size: int = BATCH_SIZE, positive_class: str = ""
) -> "Predictor":
    """Loads the trained model of a run.

    Args:
      workdir: run directory.
      which: "best", "last", or the number of a step.
      batch_size: windows per batch.
      positive_class: the positive one of two classes, instead of the config's `dataset.positive_class`.

    Raises:
      ValueError: if the workdir holds no run, one of another version, or no such checkpoint, or if there is no such
        class.
    """
    config = load_config(Path(workdir))
    config.dataset.positive_class = positive_class or config.dataset.positive_class
    find_positive_class(config.dataset.class_names, config.dataset.positive_class)
    run = trained.load(Path(workdir), which, config=config)
    temperature = run.calibration.temperature
    return Predictor(
        config,
        run.variables,
        parallel.local_multiple(batch_size),
        run.probabilities,
        trained.compile_stream_programs(run.model, config, temperature),
        run.calibration,
        trained.compile_embeddings(run.model, config, temperature),
        Origin(str(workdir), run.step),
    )


class Origin(NamedTuple):
    """Where a model comes from.

    Attributes:
      name: the run directory or the exported file, as it was given.
      step: number of training steps.
      fingerprint: identifies the model; "" if its variables do (`jaxvid.predict.rows.described_model`).
    """

    name: str = ""
    step: int = 0
    fingerprint: str = ""


NO_ORIGIN = Origin()


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model with its classes.

    Attributes:
      config: config of the training run.
      variables: variables of the model.
      batch_size: windows per batch.
      probabilities: `(variables, inputs)` -> class probabilities, compiled at the first call.
      stream_programs: its two parts, if windows can share the features of their frames.
      calibration: what was chosen on the validation clips; its temperature is in the probabilities already.
      embeddings: `(variables, inputs)` -> probabilities and embeddings, for a model without stream programs.
      origin: where it comes from.
    """

    config: ConfigDict
    variables: PyTree
    batch_size: int
    probabilities: Probabilities
    stream_programs: StreamPrograms | None = None
    calibration: Calibration = NOT_CALIBRATED
    embeddings: Embeddings | None = None
    origin: Origin = NO_ORIGIN

    @property
    def class_names(self) -> list[str]:
        """Classes in the order of the probabilities."""
        return list(self.config.dataset.class_names)

    @property
    def positive_class(self) -> str | None:
        """The positive one of two classes (`find_positive_class`); None if it is not known, and of more classes."""
        return find_positive_class(self.class_names, self.config.dataset.positive_class)

    def event_thresholds(self, classes: Sequence[str]) -> Thresholds:
        """Returns the thresholds of the events of some classes: around the one chosen on validation clips, if any.

        One pair is for all classes: if both of two are asked for, it is around 0.5.
        """
        chosen = self.calibration.threshold if len(classes) == 1 else None
        return Thresholds.around(0.5 if chosen is None else chosen.of(classes[0]))

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
        """Returns the class probabilities of clips.

        Args:
          clips: RGB frames, as many as the model takes, of `frame_size`.
          sounds: for models that take audio, each clip's 16-bit samples at `config.audio.sample_rate`, of any number,
            zero for a clip without sound (default: no clip has sound).
          num_frames: for models that take sequences, the number of real frames of each clip; the rest is padding
            (default: all are real).

        Raises:
          ValueError: if the clips have another shape or type.
        """
        windows = self._clips_as_windows(clips, sounds, num_frames)
        inputs = {"frames": clips, **self._inputs_beside_frames(windows)}
        return self._in_batches(self.probabilities, inputs, self.batch_size)

    def embed(
        self,
        clips: UInt8[np.ndarray, "batch time height width 3"],
        *,
        sounds: Sequence[Int16[np.ndarray, "_"]] | None = None,
        num_frames: Sequence[int] | None = None,
    ) -> Float[np.ndarray, "batch embedding"]:
        """Returns a vector for each clip, in float32, for programs that compare clips or train on them.

        It is made of the features that the network's head takes (`jaxvid.models.embedding` says of what exactly).

        Args:
          clips: at least one, otherwise as in `classify`.
          sounds: as in `classify`.
          num_frames: as in `classify`.

        Raises:
          ValueError: if the clips have another shape or type.
        """
        classifier = self.window_classifier(embed=True)
        classified: list[Classified] = []
        for i, window in enumerate(self._clips_as_windows(clips, sounds, num_frames)):
            classified += classifier.add(i, window)
            classifier.forget(i)
        classified += classifier.finish()
        return np.stack([one.embedding for one in classified if one.embedding is not None])

    def _clips_as_windows(
        self, clips: np.ndarray, sounds: Sequence[np.ndarray] | None, num_frames: Sequence[int] | None
    ) -> list[Window]:
        expected = (self.config.clip.num_frames, *self.frame_size, 3)
        if clips.shape[1:] != expected:
            raise ValueError(f"clips have shape {clips.shape}; expected (batch, {', '.join(map(str, expected))})")
        if clips.dtype != np.uint8:
            raise ValueError(f"clips are of {clips.dtype}; expected uint8, from 0 to 255")
        counts = num_frames or [clips.shape[1]] * len(clips)
        numbers = tuple(range(clips.shape[1]))
        return [
            Window(0.0, 0.0, tuple(clip), numbers, count, sound)
            for clip, count, sound in zip(clips, counts, sounds or [np.zeros(0, np.int16)] * len(clips), strict=True)
        ]

    def inputs(self, windows: Sequence[Window]) -> Inputs:
        """Returns the model's inputs for windows, one row each."""
        return {"frames": np.stack([window.frames for window in windows]), **self._inputs_beside_frames(windows)}

    def _inputs_beside_frames(self, windows: Sequence[Window]) -> Inputs:
        inputs = {"num_frames": np.asarray([window.num_frames for window in windows], np.int32)}
        if not self.config.audio.sample_rate:
            return inputs
        return inputs | sound_inputs([window.audio for window in windows], self.config.audio)

    def _in_batches(self, program: Probabilities, inputs: Inputs, batch_size: int) -> np.ndarray:
        outputs = parallel.in_batches(partial(program, self.variables), inputs, batch_size)
        return np.concatenate([np.zeros((0, len(self.class_names)), np.float32), *outputs])

    def window_classifier(self, *, one_by_one: bool = False, embed: bool = False) -> WindowClassifier:
        """Returns what classifies windows, each frame only once where the model allows it.

        Args:
          one_by_one: whether windows, and frames, do not wait until there is a batch of them.
          embed: whether to embed the windows too.
        """
        programs, devices = self.stream_programs, parallel.local_multiple(1)
        size = devices if one_by_one else self.batch_size
        if programs is None:
            return WindowClassifier(partial(self._of_clips, size, embed), self._inputs_beside_frames, size)
        num_frames = size * (programs.span if one_by_one else self.config.clip.num_frames)
        size = size if one_by_one else size * _BATCHES_OF_FEATURES

        def features(frames: np.ndarray) -> np.ndarray:
            [rows] = parallel.in_batches(partial(programs.features, self.variables), frames, num_frames)
            return rows

        how = StreamFeatures(features, programs.span, num_frames, num_frames // devices)
        return WindowClassifier(
            partial(self._of_features, programs, size, embed), self._inputs_beside_frames, size, how
        )

    def _of_clips(self, batch_size: int, embed: bool, inputs: Inputs) -> Outputs:
        if not embed:
            return Outputs(self._in_batches(self.probabilities, inputs, batch_size))
        assert self.embeddings is not None
        [outputs] = parallel.in_batches(partial(self.embeddings, self.variables), inputs, batch_size)
        return Outputs(*outputs)

    def _of_features(self, programs: StreamPrograms, batch_size: int, embed: bool, inputs: Inputs) -> Outputs:
        probabilities = self._in_batches(programs.probabilities, inputs, batch_size)
        if not embed:
            return Outputs(probabilities)
        num_features = np.maximum(inputs["num_frames"] - programs.span + 1, 1)
        # The mean over crops.
        return Outputs(probabilities, pooled(inputs["features"].mean(axis=2), num_features, programs.span))

    def plan(self, *, window_seconds: float | None = None, stride_seconds: float | None = None) -> WindowPlan:
        """Returns the windows that the model takes of a video (`plan_windows`)."""
        return plan_windows(self.config, window_seconds, stride_seconds)

    def follow(self, windows: Iterable[Window]) -> Generator[Classified, None, None]:
        """Yields the windows of a video with their probabilities, batch by batch; the frames are of `frame_size`."""
        classifier = self.window_classifier()
        for window in windows:
            yield from classifier.add(0, window)
        yield from classifier.finish()

    def predict_frames(
        self,
        frames: UInt8[np.ndarray, "time height width 3"],
        fps: float,
        *,
        audio: Int16[np.ndarray, "sample"] | None = None,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
    ) -> Timeline:
        """Predicts the timeline of a video in memory.

        Args:
          frames: RGB frames of any size, in order of time.
          fps: frames per second.
          audio: for models that take audio, 16-bit samples at `config.audio.sample_rate`.
          window_seconds: length of a window, where the model leaves a choice (`plan_windows`).
          stride_seconds: seconds between window starts.

        Raises:
          ValueError: if there are no frames, they have another shape or type, or a number is not positive.
        """
        if not len(frames) or fps <= 0:
            raise ValueError(f"{len(frames)} frames at {fps:g} a second; allowed: at least one, and above 0")
        first = np.asarray(frames[0])
        if first.dtype != np.uint8 or first.ndim != 3 or first.shape[-1] != 3:
            raise ValueError(f"frames are of {first.dtype} {first.shape}; expected uint8 (height, width, 3)")
        plan = self.plan(window_seconds=window_seconds, stride_seconds=stride_seconds)
        timed = (TimedFrame(i / fps, partial(_resize, frame, self.frame_size)) for i, frame in enumerate(frames))
        sound = None if audio is None else Sound(iter([(0.0, audio)]), self.config.audio.sample_rate)
        return self._timeline(map(_row, self.follow(windows(timed, plan, sound=sound))))

    def predict_video(
        self,
        path: Path | str,
        *,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        damage: Damage | None = None,
        watch: Watcher = lambda classified: None,
    ) -> Timeline:
        """Predicts the timeline of a video file of any length; decodes ahead while the model runs.

        Args:
          path: the file.
          window_seconds: length of a window, where the model leaves a choice (`plan_windows`).
          stride_seconds: seconds between window starts.
          damage: takes note of what cannot be read, and the timeline is that of the rest; by default it is an error.
          watch: called with every window, for progress bars and the like.

        Raises:
          InvalidVideoError: if the file is no video or has no frames, or (without `damage`) does not decode to its end.
          ValueError: if a number is not positive.
        """
        plan = self.plan(window_seconds=window_seconds, stride_seconds=stride_seconds)
        with contextlib.closing(read_ahead(Path(path), self._reading(plan), damage)) as read:
            return self._timeline(map(_row, _watched(self.follow(read), watch)))

    def predict_videos(
        self,
        paths: Sequence[Path | str],
        *,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        num_workers: int | None = None,
        embed: bool = False,
        watch: Watcher = lambda classified: None,
    ) -> Generator[VideoPrediction, None, None]:
        """Predicts video files, and yields each as soon as it is complete.

        Windows of all videos share batches, so that short videos are predicted as fast as long ones. Of damaged videos
        what can be read is predicted. Memory does not grow with the number of videos or their length.

        Args:
          paths: the files.
          window_seconds: as in `predict_video`.
          stride_seconds: as in `predict_video`.
          num_workers: processes that decode many videos; by default one per core.
          embed: whether the windows that `watch` gets have embeddings.
          watch: called with every window; those of several videos come in turn.

        Raises:
          ValueError: if a number is not positive.
        """
        reading = self._reading(self.plan(window_seconds=window_seconds, stride_seconds=stride_seconds))
        rows: dict[int, list[_Row]] = collections.defaultdict(list)
        with contextlib.closing(read_videos([Path(path) for path in paths], reading, num_workers)) as read:
            for item in classified_videos(read, self.window_classifier(embed=embed)):
                if isinstance(item, Classified):
                    watch(item)
                    rows[item.video].append(_row(item))
                    continue
                found, (video, outcome) = rows.pop(item.video, []), item
                if isinstance(outcome, InvalidVideo):
                    yield VideoPrediction(video, None, Damage(), outcome.reason)
                else:
                    yield VideoPrediction(video, self._timeline(found), outcome, "")

    def _reading(self, plan: WindowPlan) -> Reading:
        return Reading(plan, self.frame_size, self.config.audio.sample_rate)

    def _timeline(self, rows: Iterable[_Row]) -> Timeline:
        starts, ends, outputs = zip(*rows, strict=True)
        return Timeline(
            np.asarray(starts),
            np.asarray(ends),
            np.stack(outputs),
            self.class_names,
            self.positive_class,
            self.calibration.threshold,
        )


def _watched(followed: Iterable[Classified], watch: Watcher) -> Iterator[Classified]:
    for classified in followed:
        watch(classified)
        yield classified


def _row(classified: Classified) -> _Row:
    return classified.window.start, classified.window.end, classified.probabilities


def _resize(
    frame: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    # Not at the top: a video file needs no OpenCV.
    import cv2

    if frame.shape[:2] == size:
        return frame
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
