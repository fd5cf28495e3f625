"""Prediction of video files: videos in; timelines, events, plots and annotated videos out."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from jaxvid.files import replacing
from jaxvid.predict.events import (
    Event,
    Thresholds,
    Timeline,
    event_classes,
    find_events,
    find_segments,
    write_events,
    write_segments,
    write_timeline,
)
from jaxvid.predict.predictor import Predictor, Watcher
from jaxvid.predict.windows import Window
from jaxvid.tables import aligned
from jaxvid.video.faces import FaceBlur, check_face_detector
from jaxvid.video.files import find_videos
from jaxvid.video.streams import Damage
from jaxvid.video.workers import InvalidVideoError


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
    """

    thresholds: Thresholds = dataclasses.field(default_factory=Thresholds)
    classes: tuple[str, ...] = ()
    window_seconds: float | None = None
    stride_seconds: float | None = None
    annotate: bool = False
    explain: bool = False
    blur_faces: bool = False


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """Result of one video.

    Attributes:
      path: the video.
      output: directory of the files written.
      timeline: None if the video could not be read.
      events: events in the video.
      reason: why it could not be read; "" if it could.
      speed: seconds of video per second of work.
      problems: parts of the video that were not read as they were recorded, and files that could not be written.
    """

    path: Path
    output: Path
    timeline: Timeline | None
    events: list[Event]
    reason: str = ""
    speed: float = 0.0
    problems: Damage = dataclasses.field(default_factory=Damage)


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
        raise ValueError("no videos given; allowed: paths of videos and of folders with videos")
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
    predictor: Predictor, videos: dict[Path, Path], output: Path, options: PredictOptions
) -> list[VideoResult]:
    """Predicts every video and writes its files; a video that cannot be read does not stop the others.

    Of a video that is damaged or breaks off, what can be read is predicted, and `problems.json` lists what cannot.

    Raises:
      ValueError: if an option does not fit the model, or faces are to be blurred and their detector is missing.
    """
    classes = event_classes(predictor.class_names, options.classes, predictor.positive_class)
    predictor.plan(window_seconds=options.window_seconds, stride_seconds=options.stride_seconds)
    # Not at the top: the pages are made of what is here.
    from jaxvid.predict.pages.index import write_index
    from jaxvid.predict.pages.video import write_video_page

    if options.blur_faces:
        check_face_detector()
    results: list[VideoResult] = []
    try:
        for video, relative in videos.items():
            results.append(_predict_one(predictor, video, output / relative, classes, options))
            if results[-1].timeline is not None:
                write_video_page(results[-1], output, classes, options)
    finally:
        # Also of what was done before an interruption.
        if results:
            write_index(results, output, classes)
    return results


def _predict_one(
    predictor: Predictor, video: Path, output: Path, classes: Sequence[str], options: PredictOptions
) -> VideoResult:
    began, problems = time.perf_counter(), Damage()
    peak = PeakWindow([predictor.class_names.index(name) for name in classes])
    try:
        with tqdm(total=1.0, desc=_shortened(video.name), unit="s", bar_format=_BAR) as bar:
            timeline = predictor.predict_video(
                video,
                window_seconds=options.window_seconds,
                stride_seconds=options.stride_seconds,
                damage=problems,
                watch=_watcher(bar, began, peak if options.explain else None),
            )
    except InvalidVideoError as error:
        return VideoResult(video, output, None, [], error.reason)
    speed = float(timeline.ends[-1]) / (time.perf_counter() - began)
    result = VideoResult(
        video, output, timeline, find_events(timeline, classes, options.thresholds), "", speed, problems
    )
    _write(result, timeline, options)
    if options.explain:
        _write_explanation(predictor, peak, output, options)
    return result


# Problems of a video in the summary.
_MAX_LISTED = 5

# The speed, as a multiple of real time, is in the postfix.
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s {postfix}"


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


def _watcher(bar: tqdm, began: float, peak: PeakWindow | None) -> Watcher:
    """Returns a watcher that shows the speed as a multiple of real time, and passes windows on to `peak`."""

    def watch(window: Window, probabilities: Float[np.ndarray, "classes"], total: float | None) -> None:
        bar.total = max(total or 0.0, window.end)
        bar.set_postfix_str(f"{window.end / (time.perf_counter() - began):.1f} x real time", refresh=False)
        bar.update(window.end - bar.n)
        if peak is not None:
            peak.update(window, probabilities)

    return watch


def _write_explanation(predictor: Predictor, peak: PeakWindow, output: Path, options: PredictOptions) -> None:
    # Not at the top: only explanations need these.
    import cv2

    from jaxvid.predict.grad_cam import explain

    assert peak.window is not None
    strip = explain(predictor, peak.window, peak.label, without_faces=options.blur_faces)
    name = predictor.class_names[peak.label]
    window = f"{peak.window.start:.1f} to {peak.window.end:.1f} s"
    title = f"{name} {100 * peak.probability:.0f} %, {window} (below: bright where Grad-CAM finds {name})"
    caption = np.full((28, strip.shape[1], 3), 255, np.uint8)
    shown = title.encode("ascii", errors="replace").decode()
    cv2.putText(caption, shown, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(np.vstack([caption, strip]), cv2.COLOR_RGB2BGR))
    with replacing(output / "explanation.png") as unfinished:
        unfinished.write_bytes(encoded.tobytes())


def _write(result: VideoResult, timeline: Timeline, options: PredictOptions) -> None:
    # Not at the top: matplotlib takes a second to import, and is needed only if a video can be read.
    from jaxvid.predict.timeline_plot import plot_timeline

    output = result.output
    output.mkdir(parents=True, exist_ok=True)
    write_timeline(timeline, output / "timeline.csv")
    write_events(result.events, output / "events.json")
    if len(timeline.class_names) > 2:
        write_segments(find_segments(timeline), output / "segments.csv")
    if options.annotate:
        from jaxvid.predict.annotate import annotate

        try:
            blur = FaceBlur() if options.blur_faces else None
            annotate(result.path, timeline, output / "annotated.mp4", blur)
        except InvalidVideoError as error:
            # The timeline is worth keeping without it.
            result.problems.add(0.0, float(timeline.ends[-1]), error.reason)
    write_problems(result.problems, output / "problems.json")
    plot = plot_timeline(timeline, result.events, options.thresholds, result.path.name, result.problems.flaws)
    with replacing(output / "timeline.png") as unfinished:
        unfinished.write_bytes(plot)


def write_problems(problems: Damage, path: Path) -> None:
    """Writes the parts of a video that were not read as recorded, in order of time, as a list of JSON objects."""
    flaws = [flaw._asdict() for flaw in sorted(problems.flaws)]
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(flaws, indent=2) + "\n")


def summary(results: Sequence[VideoResult]) -> str:
    """Returns a table for the terminal: each video's length, most probable class, events, problems and speed.

    Below it, the problems of every video that was read in part.
    """
    rows = [("video", "seconds", "mean", "events", "highest", "problems", "speed", "written to")]
    for result in results:
        if result.timeline is None:
            rows.append((str(result.path), "-", "-", "-", "-", "-", "-", f"NOT READ: {result.reason}"))
            continue
        timeline = result.timeline
        best = int(timeline.mean().argmax())
        highest = max(result.events, key=lambda event: event.probability, default=None)
        rows.append(
            (
                str(result.path),
                f"{timeline.ends[-1]:.1f}",
                f"{timeline.class_names[best]} {100 * timeline.mean()[best]:.0f} %",
                str(len(result.events)),
                "-" if highest is None else f"{100 * highest.probability:.0f} % at {highest.peak:.1f} s",
                str(len(result.problems.flaws)) if result.problems else "-",
                f"{result.speed:.1f} x",
                str(result.output),
            )
        )
    problems = [f"{result.path}: {listed_problems(result.problems)}" for result in results if result.problems]
    lines = [*aligned(rows), *(["Problems (all in problems.json):"] if problems else []), *problems]
    # A name whose bytes are not UTF-8 would stop the print.
    return "\n".join(lines).encode(errors="replace").decode()


def listed_problems(problems: Damage) -> str:
    """Returns the first problems of a video as text."""
    flaws = sorted(problems.flaws)
    more = len(flaws) - _MAX_LISTED
    return str(Damage(flaws[:_MAX_LISTED])) + (f"; {more} more" if more > 0 else "")


def _shortened(name: str) -> str:
    return (name if len(name) <= 30 else f"{name[:14]}…{name[-15:]}").encode(errors="replace").decode()
