"""Work that goes on for hours: memory, file descriptors, threads and processes must stay as they were."""

import contextlib
import dataclasses
import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from jaxvid.predict.events import EventTracker, Thresholds
from jaxvid.predict.files import PredictOptions, VideoResult, named_videos, predict_videos
from jaxvid.predict.follow import follow_live
from jaxvid.train.logbook import read_rows
from jaxvid.train.loop import train
from jaxvid.train.step_metrics import StepMetrics
from jaxvid.video.files import write_video
from jaxvid.video.streams import TimedFrame
from tests.faults.campaign import Try
from tests.faults.confined import ROOT
from tests.faults.held import Held, growth, held
from tests.predict.made_videos import red_predictor, write_red
from tests.tiny import tiny_config

PROMISE = "what goes on for hours keeps its memory, files, threads and processes"

_DEADLINE_SECONDS = 3600.0
_HOUR = 3600
_FPS = 10.0
_FILE_FPS = 1.0


def attempt(one: Try) -> Sequence[str]:
    """Does one of `_WORKS`, the first time each short enough for a test, then as long as it takes."""
    # In a process of its own, which holds nothing of the tries before it.
    command = [sys.executable, "-m", "tests.faults.long_runs", str(one.number), str(one.directory)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_DEADLINE_SECONDS, check=False)
    return [ended.stdout.strip() if ended.returncode == 0 else ended.stderr[-2000:]]


class _Samples:
    """What is held at evenly spaced moments of work that is made of so many parts."""

    def __init__(self, parts: int):
        self._parts_between, self._done = max(1, parts // 16), 0
        self._held: list[Held] = []

    def count(self) -> None:
        """Takes note that a part is done."""
        self._done += 1
        if self._done % self._parts_between == 0:
            self._held.append(held())

    def growth(self, what: str) -> str:
        """Compares the moments at about a quarter of the work, when all is warm, with the last ones."""
        early, late = self._held[2:5], self._held[-3:]
        return growth(what, Held(*map(max, zip(*early, strict=True))), Held(*map(min, zip(*late, strict=True))))


def _an_hour_of_a_camera(one: Try) -> str:
    """A minute of events in every ten; the first ten minutes are what the others are compared to."""
    predictor = red_predictor()
    plan = predictor.plan(window_seconds=1.0, stride_seconds=0.25)
    tracker, events = EventTracker("fight", Thresholds(0.6, 0.4)), 0
    end, early = 0.0, None
    for classified in follow_live(predictor, _frames(_HOUR, _FPS, one.rng), plan, lambda: False):
        begin, end = end, (classified.window.start + classified.window.end + plan.stride) / 2
        events += sum(kind == "onset" for kind, _ in tracker.update(begin, end, float(classified.probabilities[1])))
        if early is None and end > 600:
            early = held()
    if events != 6:
        return f"an hour of a camera: {events} events, not 6"
    return growth("an hour of a camera", early or held(), held())


def _frames(seconds: int, fps: float, rng: np.random.Generator) -> Iterator[TimedFrame]:
    noise = rng.integers(0, 20, (16, 16, 3), np.uint8)
    for number in range(round(seconds * fps)):
        time = number / fps
        frame = noise.copy()
        frame[..., 0] += 230 if 60 < time % 600 < 120 else 0
        yield TimedFrame(time, frame)


def _an_hour_of_a_video(one: Try) -> str:
    """The same hour from a file, by the same way as the videos of a folder."""
    path = one.directory / "hour.avi"
    write_video(path, np.stack([frame.image for frame in _frames(_HOUR, _FILE_FPS, one.rng)]), _FILE_FPS)
    # Windows of eight seconds, two seconds apart.
    samples = _Samples(_HOUR // 2 // red_predictor().batch_size)
    [result] = _predict([path], one.directory / "out", samples, window_seconds=8.0)
    if len(result.events) != 6:
        return f"an hour of a video: {len(result.events)} events, not 6"
    return samples.growth("an hour of a video")


def _many_short_videos(one: Try) -> str:
    """The same few videos again and again, under as many names."""
    made = [write_red(one.directory / f"made{number}.avi", levels) for number, levels in enumerate(([0.1], [0.9, 0.1]))]
    count = 10_000 if _is_long(one) else 400
    folder = one.directory / "folder"
    folder.mkdir()
    for number, source in zip(range(count), itertools.cycle(made), strict=False):
        (folder / f"{number}.avi").symlink_to(source)
    # Of one window and of five.
    samples = _Samples(3 * count // red_predictor().batch_size)
    results = _predict([folder], one.directory / "out", samples, window_seconds=0.5)
    if [len(result.events) for result in results].count(1) != count // 2:
        return "many short videos: not one event in every other"
    return samples.growth("many short videos")


def _predict(arguments: Sequence[Path], output: Path, samples: _Samples, *, window_seconds: float) -> list[VideoResult]:
    predictor = red_predictor()

    def probabilities(*batch):
        samples.count()
        return predictor.probabilities(*batch)

    options = PredictOptions(
        Thresholds(0.6, 0.4), window_seconds=window_seconds, stride_seconds=window_seconds / 4, plot=False
    )
    watched = dataclasses.replace(predictor, probabilities=probabilities)
    return predict_videos(watched, named_videos(arguments), output, options)


def _a_long_training(one: Try) -> str:
    """A tiny network, with an evaluation and a checkpoint every few steps."""
    # The pools of Orbax and TensorStore start threads, and keep memory, for the first hundred steps and more.
    steps, every = (10_000, 20) if _is_long(one) else (480, 10)
    config = tiny_config(one.directory / "tfds")
    config.clip.update(num_frames=2, height=16, width=16)
    config.train.update(batch_size=2, num_steps=steps, log_every_steps=5)
    config.eval.every_steps = every
    samples, add = _Samples(steps), StepMetrics.add

    def add_and_count(*arguments):
        add(*arguments)
        samples.count()

    with mock.patch.object(StepMetrics, "add", add_and_count):
        train(config, one.directory / "run")
    evaluations = sum("val_loss" in row for row in read_rows(one.directory / "run"))
    kept = sum(1 for _ in (one.directory / "run" / "checkpoints").iterdir())
    if evaluations != steps // every or kept > 2:
        return f"a long training: {evaluations} evaluations, {kept} checkpoints left"
    return samples.growth("a long training")


_WORKS: tuple[Callable[[Try], str], ...] = (
    _an_hour_of_a_camera,
    _many_short_videos,
    _an_hour_of_a_video,
    _a_long_training,
)


def _is_long(one: Try) -> bool:
    return one.number >= len(_WORKS)


if __name__ == "__main__":
    number, directory = int(sys.argv[1]), Path(sys.argv[2])
    with contextlib.redirect_stdout(sys.stderr):
        verdict = _WORKS[number % len(_WORKS)](Try(number, np.random.default_rng(number), directory, 0.0))
    print(verdict)
