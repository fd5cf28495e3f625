"""Live events from a camera, a stream's address, or a file played at its own pace."""

import collections
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

import cv2
import numpy as np
from absl import logging
from jaxtyping import UInt8

from jaxvid.predict.batches import Classified
from jaxvid.predict.events import Event, EventTracker, event_classes
from jaxvid.predict.files import PredictOptions
from jaxvid.predict.follow import compile_live, follow_live
from jaxvid.predict.live import LiveState
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.windows import WindowPlan
from jaxvid.video.addresses import is_address, without_password
from jaxvid.video.network import StreamCapture
from jaxvid.video.streams import TimedFrame

if TYPE_CHECKING:
    from jaxvid.predict.camera_rows import CameraRows

# Frames that may wait for the network; beyond that, the oldest are dropped.
_CAPACITY = 64
# Seconds before a source that stopped is opened again; doubled after every failure.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0

# Windows whose latencies are kept for the summary at the end; a camera goes on for months.
_MAX_LATENCIES = 100_000

T = TypeVar("T")


@runtime_checkable
class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: D102, N802 (OpenCV's name)
    def read(self) -> tuple[bool, Any]: ...  # noqa: D102
    def get(self, propId: int, /) -> float: ...  # noqa: D102, N803
    def release(self) -> None: ...  # noqa: D102


class DropOldest(Generic[T]):
    """Iterator over items that a thread reads ahead; drops the oldest items instead of falling behind.

    Attributes:
      num_read: items read so far.
      num_dropped: items dropped so far.
    """

    def __init__(self, items: Iterable[T], capacity: int = _CAPACITY, ended: threading.Event | None = None):
        """Starts reading at once; `ended` is set when it closes, for items that wait for something else."""
        self.num_read = self.num_dropped = 0
        self._waiting: collections.deque[T] = collections.deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._ended = ended or threading.Event()
        self._error: BaseException | None = None
        threading.Thread(target=self._read, args=(items,), daemon=True).start()

    def _read(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                with self._changed:
                    if self._ended.is_set():
                        return
                    self.num_read += 1
                    self.num_dropped += len(self._waiting) == self._waiting.maxlen
                    self._waiting.append(item)
                    self._changed.notify()
        except Exception as error:
            self._error = error
        self.close()

    def has_waiting(self) -> bool:
        """Whether an item can be had without waiting."""
        return bool(self._waiting)

    def close(self) -> None:
        """Stops reading; items already read can still be had."""
        with self._changed:
            self._ended.set()
            self._changed.notify()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended.is_set())
            if self._waiting:
                return self._waiting.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration


def read_camera(
    address: str,
    size: tuple[int, int],
    began: float,
    live: LiveState | None = None,
    ended: threading.Event | None = None,
) -> Generator[TimedFrame, None, None]:
    """Yields the frames of a source as they arrive.

    A camera or stream that stops is opened again, after growing pauses. A file is played at its own pace, and ends.

    Args:
      address: number of a camera, address of a stream, or path of a file.
      size: height and width to which the frames are resized.
      began: time of `time.monotonic` from which the frames' times count.
      live: takes every frame as it is.
      ended: is set when a source that stopped need not be opened again.

    Raises:
      ValueError: if the source cannot be opened the first time.
    """
    ended = ended or threading.Event()
    is_file = Path(address).is_file()
    capture = _open(address)
    if not capture.isOpened():
        raise ValueError(
            f"camera {without_password(address)!r} cannot be opened; allowed: the number of a connected camera (0 is "
            "the first), or the address of a running stream"
        )
    pause = _FIRST_PAUSE
    try:
        while True:
            frame = _read(capture, began if is_file else None)
            if frame is not None:
                pause = _FIRST_PAUSE
                if live is not None:
                    live.see(frame)
                resized = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
                yield TimedFrame(time.monotonic() - began, cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
                continue
            capture.release()
            if is_file:
                return
            logging.warning("%s sends no more frames; opening it again in %.0f s", without_password(address), pause)
            if ended.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
            capture = _open(address)
    finally:
        capture.release()


def _open(address: str) -> Capture:
    if is_address(address):
        return StreamCapture(address)
    # Without OpenCV's warnings of a missing camera, which is reported here.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return cv2.VideoCapture(int(address)) if address.isdigit() else cv2.VideoCapture(address, cv2.CAP_FFMPEG)


def _read(capture: Capture, began: float | None) -> UInt8[np.ndarray, "height width 3"] | None:
    """Returns the next BGR frame, or None at the end; of a file that began at `began`, not before the frame is due."""
    read, frame = capture.read()
    if not read:
        return None
    if began is not None:
        due = began + capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        time.sleep(max(0.0, due - time.monotonic()))
    return np.asarray(frame, np.uint8)


def follow_camera(predictor: Predictor, address: str, options: PredictOptions, live: LiveState | None = None) -> None:
    """Prints one JSON line for each event as it begins and as it ends, until the source ends or Ctrl-C.

    A line holds `event` ("onset" or "offset"), `class_name`, `onset`, `offset` and `peak` in seconds since the start,
    the highest `probability`, and `latency_seconds`, from the last frame of the window to the line. At the end, the
    latencies of the windows, the last 100,000, are printed on standard error.

    Args:
      predictor: the trained model.
      address: as in `read_camera`.
      options: how windows and events are made, and the database that they are written into, if any.
      live: takes note of frames, windows and events, for those who look.

    Raises:
      ValueError: if the source cannot be opened, an option does not fit the model, or the database cannot be used.
    """
    if options.database is None:
        _follow(predictor, address, options, live, None)
        return
    # Not at the top: without a database, pyarrow is not needed.
    from jaxvid.predict.camera_rows import CameraRows

    with CameraRows(options.database, predictor, address, options.source) as rows:
        _follow(predictor, address, options, live, rows)


def _follow(
    predictor: Predictor, address: str, options: PredictOptions, live: LiveState | None, rows: "CameraRows | None"
) -> None:
    plan = predictor.plan(window_seconds=options.window_seconds, stride_seconds=options.stride_seconds)
    classes = event_classes(predictor.class_names, options.classes, predictor.positive_class)
    trackers = {name: EventTracker(name, options.thresholds) for name in classes}
    # Compiles before the first frame is read, so that no window waits for it.
    compile_live(predictor)
    began = time.monotonic()
    if live is not None:
        live.began = time.time()
    if rows is not None:
        rows.begin()
    ended = threading.Event()
    frames = DropOldest(read_camera(address, predictor.frame_size, began, live, ended), ended=ended)
    latencies: collections.deque[float] = collections.deque(maxlen=_MAX_LATENCIES)
    num_windows = 0
    end: float | None = None
    seen = 0.0
    with contextlib.closing(frames), contextlib.suppress(KeyboardInterrupt):
        for classified, latency in windows_with_latency(predictor, frames, plan, began):
            window, probabilities = classified.window, classified.probabilities
            latencies.append(latency)
            num_windows += 1
            # The first frame may come late: a stream is shown from a frame on that can be decoded alone.
            begin = window.start if end is None else end
            end, seen = (window.start + window.end + plan.stride) / 2, window.end
            if live is not None:
                shown = [predictor.class_names.index(name) for name in live.classes]
                live.add(end, probabilities[shown], latencies[-1], frames.num_dropped)
            if rows is not None:
                rows.add(classified)
            for name, tracker in trackers.items():
                probability = float(probabilities[predictor.class_names.index(name)])
                _tell(tracker.update(begin, end, probability), latencies[-1], live, rows)
    for tracker in trackers.values():
        _tell(tracker.finish(seen), latencies[-1] if latencies else 0.0, live, rows)
    if latencies:
        logging.info(
            "%d windows, latency from last frame to result: median %.0f ms, 99th percentile %.0f ms, longest %.0f ms; "
            "%d of %d frames dropped",
            num_windows,
            *(1e3 * np.quantile(latencies, (0.5, 0.99, 1.0))),
            frames.num_dropped,
            frames.num_read,
        )


def windows_with_latency(
    predictor: Predictor, frames: DropOldest[TimedFrame], plan: WindowPlan, began: float
) -> Iterator[tuple[Classified, float]]:
    """Yields the windows of a live stream, each with the seconds from its last frame to its probabilities.

    Args:
      predictor: the trained model.
      frames: as they arrive.
      plan: the windows to take.
      began: time of `time.monotonic` from which the frames' times count.
    """
    for classified in follow_live(predictor, frames, plan, frames.has_waiting):
        start, end = classified.window.start, classified.window.end
        # A source that ends within a window has no later frames, and the last one need not have passed.
        last_frame = min(end, float(plan.instants(start, end - start)[-1]))
        yield classified, max(0.0, time.monotonic() - began - last_frame)


def _tell(
    changes: Iterable[tuple[str, Event]], latency: float, live: LiveState | None, rows: "CameraRows | None"
) -> None:
    for kind, event in changes:
        if live is not None:
            live.change(kind, event)
        if rows is not None:
            rows.change(event)
        line = {"event": kind, **dataclasses.asdict(event), "latency_seconds": round(latency, 4)}
        print(json.dumps(line), flush=True)
