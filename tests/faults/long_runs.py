"""Work that goes on for hours: memory, file descriptors, threads and processes must stay as they were."""

import itertools
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxvid.predict.events import EventTracker, Thresholds
from jaxvid.predict.files import PredictOptions, named_videos, predict_videos
from jaxvid.predict.follow import follow_live
from jaxvid.video.streams import TimedFrame
from tests.faults.campaign import Try
from tests.faults.confined import ROOT
from tests.faults.held import growth, held
from tests.predict.made_videos import red_predictor, write_red

PROMISE = "what goes on for hours keeps its memory, files, threads and processes"

_DEADLINE_SECONDS = 900.0
_FPS = 10.0


def attempt(one: Try) -> Sequence[str]:
    """Follows a camera for a simulated hour, or predicts many short videos; looks at what is held on the way."""
    # In a process of its own, which holds nothing of the tries before it.
    command = [sys.executable, "-m", "tests.faults.long_runs", str(one.number), str(one.directory)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False)
    return [ended.stdout.strip() if ended.returncode == 0 else ended.stderr[-2000:]]


def _an_hour_of_a_camera(one: Try) -> str:
    """A minute of events in every ten; the first ten minutes are what the others are compared to."""
    predictor = red_predictor()
    plan = predictor.plan(window_seconds=1.0, stride_seconds=0.25)
    tracker, events = EventTracker("fight", Thresholds(0.6, 0.4)), 0
    end, early = 0.0, None
    for classified in follow_live(predictor, _frames(3600, one.rng), plan, lambda: False):
        begin, end = end, (classified.window.start + classified.window.end + plan.stride) / 2
        events += sum(kind == "onset" for kind, _ in tracker.update(begin, end, float(classified.probabilities[1])))
        if early is None and end > 600:
            early = held()
    if events != 6:
        return f"an hour of a camera: {events} events, not 6"
    return growth("an hour of a camera", early or held(), held())


def _frames(seconds: int, rng: np.random.Generator) -> Iterator[TimedFrame]:
    noise = rng.integers(0, 20, (16, 16, 3), np.uint8)
    for number in range(round(seconds * _FPS)):
        time = number / _FPS
        frame = noise.copy()
        frame[..., 0] += 230 if 60 < time % 600 < 120 else 0
        yield TimedFrame(time, frame)


def _many_short_videos(one: Try) -> str:
    """The same few videos again and again, under as many names."""
    made = [write_red(one.directory / f"made{number}.avi", levels) for number, levels in enumerate(([0.1], [0.9, 0.1]))]
    early = None
    for number, source in zip(range(4), itertools.cycle(made), strict=False):
        folder = one.directory / f"folder{number}"
        folder.mkdir()
        for copy in range(100):
            (folder / f"{copy}.avi").symlink_to(source)
        _predict(folder, one.directory / f"out{number}")
        early = early or held()
    return growth("many short videos", early or held(), held())


def _predict(folder: Path, output: Path) -> None:
    options = PredictOptions(Thresholds(0.6, 0.4), window_seconds=0.5, stride_seconds=0.25, plot=False)
    predict_videos(red_predictor(), named_videos([folder]), output, options)


if __name__ == "__main__":
    number, directory = int(sys.argv[1]), Path(sys.argv[2])
    work = (_an_hour_of_a_camera, _many_short_videos)[number % 2]
    print(work(Try(number, np.random.default_rng(number), directory, 0.0)))
