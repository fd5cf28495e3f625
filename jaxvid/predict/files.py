"""Prediction of video files: videos in; timelines, events, plots and annotated videos out."""

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxvid.predict.background import Background
from jaxvid.predict.batches import Classified
from jaxvid.predict.embeddings import embeddings_file
from jaxvid.predict.events import Event, Thresholds, Timeline, event_classes, find_events
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.progress import Progress
from jaxvid.predict.videos import VideoPrediction
from jaxvid.predict.windows import Window
from jaxvid.tables import aligned
from jaxvid.video.damage import Damage
from jaxvid.video.faces import check_face_detector
from jaxvid.video.files import find_videos


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """How videos are predicted.

    Attributes:
      thresholds: thresholds of events.
      classes: classes whose events are detected; if empty, the positive class, or all (`event_classes`).
      window_seconds: length of a window; None for that of the training clips.
      stride_seconds: seconds between window starts; None for a quarter of a window.
      annotate: whether to write annotated videos.
      explain: whether to write Grad-CAM heat maps of the window with an event class's highest probability.
      blur_faces: whether faces are blurred in all of these; the videos themselves are then on no page.
      plot: whether to plot timelines.
      embeddings: Parquet file for the embeddings of all windows (`jaxvid.predict.embeddings`); None for none.
      database: for the rows of all videos (`jaxvid.predict.database`); None for none.
      source: the camera that recorded them, for the database; "" for the folder of each.
      addresses: of the videos that were downloaded and are removed after the call, by path. They stand for the paths
        in all that is written, and no page shows these videos.
    """

    thresholds: Thresholds = dataclasses.field(default_factory=Thresholds)
    classes: tuple[str, ...] = ()
    window_seconds: float | None = None
    stride_seconds: float | None = None
    annotate: bool = False
    explain: bool = False
    blur_faces: bool = False
    plot: bool = True
    embeddings: Path | None = None
    database: Path | None = None
    source: str = ""
    addresses: Mapping[Path, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """Result of one video.

    Attributes:
      path: the video.
      output: directory of the files written.
      timeline: None if the video could not be read.
      events: events in the video.
      reason: why it could not be read; "" if it could.
      problems: parts of the video that were not read as they were recorded, and files that could not be written.
      address: where a video is from that is not kept; "" of files.
    """

    path: Path
    output: Path
    timeline: Timeline | None
    events: list[Event]
    reason: str = ""
    problems: Damage = dataclasses.field(default_factory=Damage)
    address: str = ""

    @property
    def video(self) -> str:
        """Where the video is found: its address or its path."""
        return self.address or str(self.path)


def named_videos(arguments: Sequence[Path]) -> dict[Path, Path]:
    """Returns the videos given, also those in folders given, each with its directory relative to the output.

    Raises:
      ValueError: if a file or folder does not exist, a folder holds no video, or there is none at all.
    """
    found: dict[Path, Path] = {}
    for argument in arguments:
        if argument.is_dir():
            videos = find_videos(argument)
            if not videos:
                raise ValueError(f"{argument} holds no video")
            found = {video: argument.resolve().name / video.relative_to(argument) for video in videos} | found
        elif argument.is_file():
            found.setdefault(argument, Path(argument.name))
        else:
            raise ValueError(f"{argument} does not exist")
    if not found:
        raise ValueError("no videos given; allowed: paths of videos and of folders with videos, and addresses")
    return _without_collisions(found)


def _without_collisions(found: dict[Path, Path]) -> dict[Path, Path]:
    """Numbers the directories of videos with the same name."""
    taken: set[Path] = set()
    outputs = {}
    for video, wanted in found.items():
        output, number = wanted, 1
        while output in taken:
            number += 1
            output = wanted.with_name(f"{wanted.name}-{number}")
        taken.add(output)
        outputs[video] = output
    return outputs


def predict_videos(
    predictor: Predictor,
    videos: dict[Path, Path],
    output: Path,
    options: PredictOptions,
    refused: Sequence[VideoResult] = (),
) -> list[VideoResult]:
    """Predicts every video and writes its files; a video that cannot be read does not stop the others.

    Of a video that is damaged or breaks off, what can be read is predicted, and `problems.json` lists what cannot. The
    files of a video are written while the next ones are predicted.

    Args:
      predictor: the trained model.
      videos: their directories relative to the output, by path (`named_videos`).
      output: directory of the call.
      options: how videos are predicted.
      refused: results of videos that could not be had; they stand on the page too.

    Returns:
      The results in the order of the videos, those that were refused last.

    Raises:
      ValueError: if an option does not fit the model, faces are to be blurred and their detector is missing, the file
        for embeddings has another extension than `.parquet`, or the database cannot be used.
    """
    classes = event_classes(predictor.class_names, options.classes, predictor.positive_class)
    predictor.plan(window_seconds=options.window_seconds, stride_seconds=options.stride_seconds)
    if options.blur_faces:
        check_face_detector()
    if options.embeddings and options.embeddings.suffix != ".parquet":
        raise ValueError(f"--embeddings={options.embeddings}; allowed: a file name that ends in .parquet")
    paths, results = list(videos), {}
    try:
        _predict(predictor, videos, output, classes, options, results)
    finally:
        # Not at the top: the pages are made of what is here.
        from jaxvid.predict.pages.index import write_index

        # Also of what was done before an interruption.
        if results:
            write_index([*(results[path] for path in paths if path in results), *refused], output, classes)
    return [*(results[path] for path in paths), *refused]


def _predict(
    predictor: Predictor,
    videos: dict[Path, Path],
    output: Path,
    classes: Sequence[str],
    options: PredictOptions,
    results: dict[Path, VideoResult],
) -> None:
    """Predicts every video and writes its files; adds each to `results` when it is predicted."""
    # Not at the top: what writes the files imports what is here, and takes a second.
    from jaxvid.predict.database import ResultRows
    from jaxvid.predict.outputs import write_outputs

    paths = list(videos)
    labels = [predictor.class_names.index(name) for name in classes]
    peaks = {i: PeakWindow(labels) for i in range(len(paths))} if options.explain else {}
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(paths))
        background = stack.enter_context(Background())
        embeddings = rows = None
        if options.embeddings:
            names = [options.addresses.get(path, str(path)) for path in paths]
            embeddings = stack.enter_context(embeddings_file(options.embeddings, names, predictor.class_names))
        if options.database:
            rows = stack.enter_context(ResultRows(options.database, predictor, options.source))

        def watch(classified: Classified) -> None:
            progress.watch(classified)
            if peaks:
                peaks[classified.video].update(classified.window, classified.probabilities)
            if embeddings:
                embeddings.add(classified)

        predictions = predictor.predict_videos(
            paths,
            window_seconds=options.window_seconds,
            stride_seconds=options.stride_seconds,
            embed=embeddings is not None,
            watch=watch,
        )
        for prediction in predictions:
            path, peak = paths[prediction.video], peaks.pop(prediction.video, None)
            results[path] = result = video_result(prediction, path, output / videos[path], classes, options)
            if result.timeline is not None:
                background.run(partial(write_outputs, predictor, result, output, classes, options, peak))
            if embeddings:
                embeddings.end_video(prediction.video)
            if rows:
                rows.add(result)
            progress.finish(float(result.timeline.ends[-1]) if result.timeline else 0.0)


def video_result(
    prediction: VideoPrediction, path: Path, output: Path, classes: Sequence[str], options: PredictOptions
) -> VideoResult:
    """Returns a prediction with its events.

    Args:
      prediction: of the video.
      path: of the video.
      output: directory of its files.
      classes: classes whose events are detected.
      options: of the call.
    """
    address = options.addresses.get(path, "")
    if prediction.timeline is None:
        return VideoResult(path, output, None, [], prediction.reason, address=address)
    events = find_events(prediction.timeline, classes, options.thresholds)
    return VideoResult(path, output, prediction.timeline, events, problems=prediction.problems, address=address)


class PeakWindow:
    """Keeps the window with the highest probability of some classes.

    Attributes:
      window: the window; None before the first.
      label: index of the class.
      probability: probability of that class in the window.
    """

    def __init__(self, labels: Sequence[int]):
        """Makes one that has seen no window; `labels` are indices of the classes."""
        self._labels = list(labels)
        self.window: Window | None = None
        self.label, self.probability = self._labels[0], -1.0

    def update(self, window: Window, probabilities: Float[np.ndarray, "classes"]) -> None:
        """Keeps the window if its probability is the highest so far."""
        label = max(self._labels, key=lambda label: probabilities[label])
        if probabilities[label] > self.probability:
            self.window, self.label, self.probability = window, label, float(probabilities[label])


# Problems of a video in the summary.
_MAX_LISTED = 5


def summary(results: Sequence[VideoResult]) -> str:
    """Returns a table for the terminal: each video's length, class by its mean probabilities, events and problems.

    Below it, the problems of every video that was read in part.
    """
    rows = [("video", "seconds", "mean", "events", "highest", "problems", "written to")]
    for result in results:
        if result.timeline is None:
            rows.append((result.video, "-", "-", "-", "-", "-", f"NOT READ: {result.reason}"))
            continue
        timeline = result.timeline
        mean = timeline.mean()
        decided = timeline.decide(mean)
        highest = max(result.events, key=lambda event: event.probability, default=None)
        rows.append(
            (
                result.video,
                f"{timeline.ends[-1]:.1f}",
                f"{decided} {100 * mean[timeline.class_names.index(decided)]:.0f} %",
                str(len(result.events)),
                "-" if highest is None else f"{100 * highest.probability:.0f} % at {highest.peak:.1f} s",
                str(len(result.problems.flaws)) if result.problems else "-",
                str(result.output),
            )
        )
    problems = [f"{result.video}: {listed_problems(result.problems)}" for result in results if result.problems]
    lines = [*aligned(rows), *(["Problems (all in problems.json):"] if problems else []), *problems]
    # A name whose bytes are not UTF-8 would stop the print.
    return "\n".join(lines).encode(errors="replace").decode()


def listed_problems(problems: Damage) -> str:
    """Returns the first problems of a video as text."""
    flaws = sorted(problems.flaws)
    more = len(flaws) - _MAX_LISTED
    return str(Damage(flaws[:_MAX_LISTED])) + (f"; {more} more" if more > 0 else "")
