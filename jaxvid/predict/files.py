"""Videos in; timelines, events, pictures and annotated videos out."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
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
from jaxvid.video.files import find_videos
from jaxvid.video.streams import open_video
from jaxvid.video.workers import InvalidVideoError


@dataclasses.dataclass(frozen=True)
class Options:
    """How videos are predicted.

    Attributes:
      thresholds: of events.
      classes: that are events; the positive one of two, or all of more, where none is given.
      window_seconds: another length of the windows.
      stride_seconds: between windows.
      annotate: whether to write annotated videos.
      explain: whether to draw what the network looks at in the window of the highest probability of an event's class.
    """

    thresholds: Thresholds = dataclasses.field(default_factory=Thresholds)
    classes: tuple[str, ...] = ()
    window_seconds: float | None = None
    stride_seconds: float | None = None
    annotate: bool = False
    explain: bool = False


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """What became of one video.

    Attributes:
      path: of the video.
      output: directory of what was written.
      timeline: None where the video could not be read.
      events: in it.
      reason: why it could not be read; "" where it could.
      speed: seconds of video to a second of work.
    """

    path: Path
    output: Path
    timeline: Timeline | None
    events: list[Event]
    reason: str = ""
    speed: float = 0.0


def named_videos(arguments: Sequence[Path]) -> dict[Path, Path]:
    """Every video named, or under a folder named, with the path, relative to the output, of what is written of it.

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
        raise ValueError("name the videos, or folders of them, to predict")
    return _without_collisions(found)


def _without_collisions(found: dict[Path, Path]) -> dict[Path, Path]:
    """Videos of one name in different folders get a number."""
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


def predict_videos(predictor: Predictor, videos: dict[Path, Path], output: Path, options: Options) -> list[VideoResult]:
    """Predicts every video and writes what was found; a video that cannot be read does not stop the others.

    Raises:
      ValueError: if an option does not fit the network.
    """
    classes = event_classes(predictor.class_names, options.classes)
    predictor.plan(window_seconds=options.window_seconds, stride_seconds=options.stride_seconds)
    return [_predict_one(predictor, video, output / relative, classes, options) for video, relative in videos.items()]


def _predict_one(
    predictor: Predictor, video: Path, output: Path, classes: Sequence[str], options: Options
) -> VideoResult:
    began = time.perf_counter()
    highest = PeakWindow([predictor.class_names.index(name) for name in classes])
    try:
        with tqdm(total=1.0, desc=_shortened(video.name), unit="s", bar_format=_BAR) as bar:
            timeline = predictor.predict_video(
                video,
                window_seconds=options.window_seconds,
                stride_seconds=options.stride_seconds,
                watch=_watcher(bar, began, highest if options.explain else None),
            )
        speed = float(timeline.ends[-1]) / (time.perf_counter() - began)
        events = find_events(timeline, classes, options.thresholds)
        _write(video, output, timeline, events, options)
        if options.explain:
            _write_explanation(predictor, highest, output)
    except InvalidVideoError as error:
        return VideoResult(video, output, None, [], error.reason)
    return VideoResult(video, output, timeline, events, speed=speed)


# The speed, as a multiple of real time, is in the postfix.
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s {postfix}"


class PeakWindow:
    """Keeps the window of the highest probability of some classes.

    Attributes:
      window: so far; None before the first.
      label: the class.
      probability: of that class in it.
    """

    def __init__(self, labels: Sequence[int]):
        """Nothing has been seen yet."""
        self._labels = list(labels)
        self.window: Window | None = None
        self.label, self.probability = self._labels[0], -1.0

    def see(self, window: Window, probabilities: np.ndarray) -> None:
        """Keeps the window if it is the highest so far."""
        label = max(self._labels, key=lambda label: probabilities[label])
        if probabilities[label] > self.probability:
            self.window, self.label, self.probability = window, label, float(probabilities[label])


def _watcher(bar: tqdm, began: float, highest: PeakWindow | None) -> Watcher:
    """Shows the speed as a multiple of real time, and passes windows on to `highest`."""

    def watch(window: Window, probabilities: np.ndarray, total: float | None) -> None:
        bar.total = max(total or 0.0, window.end)
        bar.set_postfix_str(f"{window.end / (time.perf_counter() - began):.1f} x real time", refresh=False)
        bar.update(window.end - bar.n)
        if highest is not None:
            highest.see(window, probabilities)

    return watch


def _write_explanation(predictor: Predictor, highest: PeakWindow, output: Path) -> None:
    # Not at the top: it needs the code of all models.
    import cv2

    from jaxvid.predict.grad_cam import explain

    assert highest.window is not None
    strip = explain(predictor, highest.window, highest.label)
    name = predictor.class_names[highest.label]
    title = f"{name} {100 * highest.probability:.0f} %, {highest.window.start:.1f} to {highest.window.end:.1f} s"
    caption = np.full((28, strip.shape[1], 3), 255, np.uint8)
    shown = title.encode("ascii", errors="replace").decode()
    cv2.putText(caption, shown, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, cv2.LINE_AA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(np.vstack([caption, strip]), cv2.COLOR_RGB2BGR))
    with replacing(output / "explanation.png") as unfinished:
        unfinished.write_bytes(encoded.tobytes())


def _write(video: Path, output: Path, timeline: Timeline, events: list[Event], options: Options) -> None:
    # Not at the top: matplotlib takes a second to import, which a folder of broken files need not wait for.
    from jaxvid.predict.timeline_plot import plot_timeline

    output.mkdir(parents=True, exist_ok=True)
    write_timeline(timeline, output / "timeline.csv")
    write_events(events, output / "events.json")
    if len(timeline.class_names) > 2:
        write_segments(find_segments(timeline), output / "segments.csv")
    picture = plot_timeline(timeline, events, options.thresholds, video.name)
    with replacing(output / "timeline.png") as unfinished:
        unfinished.write_bytes(picture)
    if options.annotate:
        from jaxvid.predict.annotate import annotate

        with open_video(video) as container:
            annotate(container, video, timeline, output / "annotated.mp4")


def summary(outcomes: Sequence[VideoResult]) -> str:
    """A table for the terminal: a line for each video with its length, mean probability, events and speed."""
    rows = [("video", "seconds", "mean", "events", "highest", "speed", "written to")]
    for outcome in outcomes:
        if outcome.timeline is None:
            rows.append((str(outcome.path), "-", "-", "-", "-", "-", f"NOT READ: {outcome.reason}"))
            continue
        timeline = outcome.timeline
        best = int(timeline.mean().argmax())
        highest = max(outcome.events, key=lambda event: event.probability, default=None)
        rows.append(
            (
                str(outcome.path),
                f"{timeline.ends[-1]:.1f}",
                f"{timeline.class_names[best]} {100 * timeline.mean()[best]:.0f} %",
                str(len(outcome.events)),
                "-" if highest is None else f"{100 * highest.probability:.0f} % at {highest.peak:.1f} s",
                f"{outcome.speed:.1f} x",
                str(outcome.output),
            )
        )
    # A name whose bytes are no UTF-8 would stop the print.
    return "\n".join(aligned(rows)).encode(errors="replace").decode()


def _shortened(name: str) -> str:
    return (name if len(name) <= 30 else f"{name[:14]}…{name[-15:]}").encode(errors="replace").decode()
