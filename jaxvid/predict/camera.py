"""Events as they happen, from a camera, the address of a stream, or a file played at its own pace."""

import collections
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from absl import logging

from jaxvid.predict.events import Event, EventTracker, event_classes
from jaxvid.predict.files import Options
from jaxvid.predict.predictor import Predictor
from jaxvid.video.streams import TimedFrame

# Frames that may wait for the network; then the oldest are dropped.
_WAITING = 64
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class DropOldest:
    """An iterator over what a thread of its own reads, which drops the oldest items rather than fall behind.

    Attributes:
      num_read: items so far.
      num_dropped: of these.
    """

    def __init__(self, items: Iterable[Any], capacity: int = _WAITING):
        """Reading begins at once."""
        self.num_read = self.num_dropped = 0
        self._waiting: collections.deque[Any] = collections.deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def _read(self, items: Iterable[Any]) -> None:
        try:
            for item in items:
                with self._changed:
                    if self._ended:
                        return
                    self.num_read += 1
                    self.num_dropped += len(self._waiting) == self._waiting.maxlen
                    self._waiting.append(item)
                    self._changed.notify()
        except Exception as error:
            self._error = error
        self.close()

    def has_waiting(self) -> bool:
        """Whether there is an item to be had at once."""
        return bool(self._waiting)

    def close(self) -> None:
        """No more is read; what waits can still be had."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                return self._waiting.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration


def read_camera(address: str, size: tuple[int, int], began: float) -> Generator[TimedFrame, None, None]:
    """The frames of a source as they come, resized to height and width; their times are seconds since `began`.

    `began` is a time of `time.monotonic`. A camera or stream that stops is opened again, after pauses that grow; a file
    ends. A file is played at its own pace.

    Raises:
      ValueError: if the source cannot be opened at first.
    """
    is_file = Path(address).is_file()
    capture = _open(address)
    if not capture.isOpened():
        raise ValueError(
            f"camera {address!r} cannot be opened; give the number of a camera that is there (0 is the first), or the "
            "address of a stream that plays"
        )
    pause = _FIRST_PAUSE
    while True:
        picture = _read(capture, began if is_file else None)
        if picture is not None:
            pause = _FIRST_PAUSE
            resized = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
            yield TimedFrame(time.monotonic() - began, cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
            continue
        capture.release()
        if is_file:
            return
        logging.warning("%s gives no more frames; opening it again in %.0f s", address, pause)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        capture = _open(address)


def _open(address: str) -> Any:
    # Its errors alone: what OpenCV warns of when there is no camera, we say ourselves.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return cv2.VideoCapture(int(address)) if address.isdigit() else cv2.VideoCapture(address, cv2.CAP_FFMPEG)


def _read(capture: Any, began: float | None) -> np.ndarray | None:
    """The next frame, with `began` not before it is due; None if there is none."""
    read, picture = capture.read()
    if not read:
        return None
    if began is not None:
        due = began + capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        time.sleep(max(0.0, due - time.monotonic()))
    return picture


def follow_camera(predictor: Predictor, address: str, options: Options) -> None:
    """Prints one JSON line for each event as it begins and as it ends, until the source ends or Ctrl-C.

    A line holds `event` ("onset" or "offset"), `class_name`, `onset`, `offset` and `peak` in seconds since the start,
    the highest `probability`, and `latency_seconds`, from the last frame of the window to the line. At the end, the
    latencies of all windows are printed on standard error.

    Raises:
      ValueError: if the camera is not there, or an option does not fit the network.
    """
    plan = predictor.plan(window_seconds=options.window_seconds, stride_seconds=options.stride_seconds)
    classes = event_classes(predictor.class_names, options.classes)
    trackers = {name: EventTracker(name, options.thresholds) for name in classes}
    # Compiled before the first frame is read, so that the first windows do not wait for it.
    predictor.classify(np.zeros((1, predictor.config.clip.num_frames, *predictor.frame_size, 3), np.uint8))
    began = time.monotonic()
    frames = DropOldest(read_camera(address, predictor.frame_size, began))
    latencies: list[float] = []
    end = seen = 0.0
    with contextlib.closing(frames), contextlib.suppress(KeyboardInterrupt):
        for window, probabilities in predictor.follow(frames, plan, batch_size=1, more_waiting=frames.has_waiting):
            latencies.append(time.monotonic() - began - float(plan.offsets[-1]) - window.start)
            begin, end, seen = end, (window.start + window.end + plan.stride) / 2, window.end
            for name, tracker in trackers.items():
                probability = float(probabilities[predictor.class_names.index(name)])
                _print(tracker.update(begin, end, probability), latencies[-1])
    for tracker in trackers.values():
        _print(tracker.finish(seen), latencies[-1] if latencies else 0.0)
    if latencies:
        logging.info(
            "%d windows, from their last frame to the answer: median %.0f ms, longest %.0f ms; %d of %d frames dropped",
            len(latencies),
            1e3 * float(np.median(latencies)),
            1e3 * max(latencies),
            frames.num_dropped,
            frames.num_read,
        )


def _print(happenings: Iterable[tuple[str, Event]], latency: float) -> None:
    for kind, event in happenings:
        line = {"event": kind, **dataclasses.asdict(event), "latency_seconds": round(latency, 4)}
        print(json.dumps(line), flush=True)
