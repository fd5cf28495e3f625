"""Rates of prediction: a long video, many short ones, and the latency of a camera.

The network is that of the run as it is set up: how long it takes does not depend on what it has learned.
"""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxvid import parallel
from jaxvid.benchmark.timing import Row, Times, Watch, ratios, spread
from jaxvid.benchmark.videos import Videos
from jaxvid.models.create import module_from_config
from jaxvid.predict.camera import DropOldest, read_camera, windows_with_latency
from jaxvid.predict.follow import compile_live
from jaxvid.predict.predictor import BATCH_SIZE, Predictor
from jaxvid.predict.reading import Reading, read_videos
from jaxvid.predict.videos import classified_videos
from jaxvid.predict.windows import Window
from jaxvid.train.setup import Run
from jaxvid.trained import compile_probabilities, compile_stream_programs
from jaxvid.video.files import find_videos


def prediction_rates(run: Run, videos: Videos, rounds: int) -> Iterator[Row]:
    """Yields the rows of the long video, of the short ones and of the long one played as a camera."""
    predictor = _predictor(run)
    yield long_video_row(predictor, videos.long, rounds)
    yield short_videos_row(predictor, find_videos(videos.folder), rounds)
    yield camera_row(predictor, videos.long)


def _predictor(run: Run) -> Predictor:
    config, model = run.config, module_from_config(run.config.model)
    return Predictor(
        config,
        run.initial_state.evaluated_variables,
        parallel.local_multiple(BATCH_SIZE),
        compile_probabilities(model, config),
        compile_stream_programs(model, config),
    )


def long_video_row(predictor: Predictor, path: Path, rounds: int) -> Row:
    """Returns seconds of video per second, and the same with every window computed whole where they share frames."""
    whole = dataclasses.replace(predictor, stream_programs=None)
    ways = [predictor] if predictor.stream_programs is None else [predictor, whole]
    # The first call of each compiles.
    timelines = [way.predict_video(path) for way in ways]
    seconds_of_video = float(timelines[0].ends[-1])
    times = [[] for _ in ways]
    for _, (way, of_way) in itertools.product(range(rounds), zip(ways, times, strict=True)):
        watch = Watch()
        way.predict_video(path)
        of_way.append(watch.read())
    plan = predictor.plan()
    row = {
        "what": "prediction",
        "video_seconds": seconds_of_video,
        "overlap": 1 - plan.stride / plan.seconds,
        **spread("video_seconds_per_second", [seconds_of_video / time.seconds for time in times[0]]),
        "video_seconds_per_cpu_second": seconds_of_video / float(np.median([time.cpu_seconds for time in times[0]])),
    }
    return row if len(ways) == 1 else {**row, **_ratios(times[1], times[0])}


def _ratios(longer: Sequence[Times], shorter: Sequence[Times]) -> Row:
    """Returns the ratio of the times and that of the CPU times."""
    seconds = ratios([time.seconds for time in longer], [time.seconds for time in shorter])
    return {**seconds, **ratios([t.cpu_seconds for t in longer], [t.cpu_seconds for t in shorter], "cpu_ratio")}


def short_videos_row(predictor: Predictor, paths: list[Path], rounds: int) -> Row:
    """Returns the rate of windows of many files, and its ratio to that of the network with the windows in memory."""
    reading = Reading(predictor.plan(), predictor.frame_size, predictor.config.audio.sample_rate)
    with contextlib.closing(read_videos(paths, reading)) as read:
        in_memory = list(read)
    num_windows = sum(isinstance(item, Window) for _, item in in_memory)
    _exhaust(classified_videos(in_memory, predictor.window_classifier()))
    of_files, of_memory = [], []
    for _ in range(rounds):
        watch = Watch()
        _exhaust(predictor.predict_videos(paths))
        of_files.append(watch.read())
        watch = Watch()
        _exhaust(classified_videos(in_memory, predictor.window_classifier()))
        of_memory.append(watch.read())
    seconds, seconds_of_memory = (float(np.median([t.seconds for t in times])) for times in (of_files, of_memory))
    return {
        "what": "short_videos",
        "num_videos": len(paths),
        "num_windows": num_windows,
        "videos_per_second": len(paths) / seconds,
        "windows_per_second": num_windows / seconds,
        "network_windows_per_second": num_windows / seconds_of_memory,
        **_ratios(of_memory, of_files),
    }


def camera_row(predictor: Predictor, path: Path) -> Row:
    """Returns how long windows of a video played at its own pace take from their last frame to their probabilities."""
    compile_live(predictor)
    began = time.monotonic()
    with contextlib.closing(DropOldest(read_camera(str(path), predictor.frame_size, began))) as frames:
        latencies = [latency for _, latency in windows_with_latency(predictor, frames, predictor.plan(), began)]
    median, high = 1e3 * np.quantile(latencies, (0.5, 0.99))
    return {
        "what": "camera",
        "num_windows": len(latencies),
        "latency_ms_median": float(median),
        "latency_ms_99th": float(high),
        "frames_dropped": frames.num_dropped,
    }


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass
