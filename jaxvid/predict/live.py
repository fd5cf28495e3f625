"""What is known of a camera at the moment, for those who look at it."""

import dataclasses
import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from jaxvid.files import replacing
from jaxvid.predict.events import Event
from jaxvid.video.faces import FaceBlur

# What is kept in memory: windows, of which a camera has a few a second, and events.
_MAX_WINDOWS, _MAX_EVENTS = 3000, 500
# Pixels: a larger frame is made smaller for looking at.
_LONGEST_SIDE = 960


class LiveState:
    """The last frame of a camera, its windows and its events; may be used by several threads.

    Nothing is written to disk, unless a directory is given for the frames in which events begin.

    Attributes:
      classes: classes whose probabilities are shown.
      began: time of `time.time` from which seconds count.
      ended: whether the source has ended.
    """

    def __init__(self, classes: Sequence[str], *, blur_faces: bool = False, frames_directory: Path | None = None):
        """Makes one that has seen nothing."""
        self.classes = list(classes)
        self.began = time.time()
        self.ended = False
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._frame: UInt8[np.ndarray, "height width 3"] | None = None
        self._num_frames = 0
        self._encoded: tuple[int, bytes] | None = None
        self._windows: deque[list[float]] = deque(maxlen=_MAX_WINDOWS)
        self._num_windows = 0
        self._latencies: deque[float] = deque(maxlen=_MAX_WINDOWS)
        self._num_dropped = 0
        self._events: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self._num_changes = 0
        self._blur = FaceBlur() if blur_faces else None
        self._frames_directory = frames_directory

    def see(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Takes a frame, BGR, as the camera sends it."""
        with self._lock:
            self._frame = frame
            self._num_frames += 1

    def add(self, end: float, probabilities: Float[np.ndarray, "classes"], latency: float, num_dropped: int) -> None:
        """Adds a window: the second up to which it stands, the probabilities of `classes`, and its latency."""
        with self._lock:
            self._windows.append([round(end, 3), *np.round(probabilities, 4).tolist()])
            self._num_windows += 1
            self._latencies.append(latency)
            self._num_dropped = num_dropped

    def change(self, kind: str, event: Event) -> None:
        """Takes note that an event began ("onset") or ended ("offset")."""
        with self._lock:
            same = [other for other in self._events if _same(other, event)]
            if same:
                self._events[self._events.index(same[0])] = event
            else:
                self._events.append(event)
            self._num_changes += 1
        if kind == "onset" and self._frames_directory is not None:
            self._store(event, self._frames_directory)

    def _store(self, event: Event, directory: Path) -> None:
        image = self.jpeg()
        if image is None:
            return
        directory.mkdir(parents=True, exist_ok=True)
        moment = datetime.fromtimestamp(self.began + event.onset).strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3]
        with replacing(directory / f"{moment}.jpg") as unfinished:
            unfinished.write_bytes(image)

    def end(self) -> None:
        """Takes note that the source has ended."""
        self.ended = True

    def jpeg(self) -> bytes | None:
        """Returns the last frame as a JPEG file, its faces blurred if so chosen; None before the first."""
        # One thread at a time encodes a frame, and blurs its faces; the others take what it made.
        with self._encoding:
            with self._lock:
                frame, number = self._frame, self._num_frames
            if frame is None:
                return None
            if self._encoded is None or self._encoded[0] != number:
                self._encoded = number, self._encode(frame)
            return self._encoded[1]

    def _encode(self, frame: UInt8[np.ndarray, "height width 3"]) -> bytes:
        scale = _LONGEST_SIDE / max(frame.shape[:2])
        if scale < 1:
            frame = np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        if self._blur is not None:
            blurred = self._blur(np.ascontiguousarray(frame[..., ::-1]), time.monotonic())
            frame = np.ascontiguousarray(blurred[..., ::-1])
        _, encoded = cv2.imencode(".jpg", frame)
        return encoded.tobytes()

    def news(self, num_windows: int, num_changes: int) -> tuple[int, int, dict[str, Any] | None]:
        """Returns what is new to one who has seen so many windows and changes of events.

        Returns:
          The numbers to ask with the next time, and what is new as a JSON object; None if nothing is.
        """
        with self._lock:
            count = min(self._num_windows - num_windows, len(self._windows))
            if not count and num_changes == self._num_changes:
                return num_windows, num_changes, None
            latencies = np.array(self._latencies or [0.0])
            message = {
                "first": not num_windows and not num_changes,
                "windows": list(self._windows)[len(self._windows) - count :],
                "events": [dataclasses.asdict(event) for event in self._events],
                "latency": round(float(latencies[-1]), 4),
                "median_latency": round(float(np.median(latencies)), 4),
                "frames": self._num_frames,
                "dropped": self._num_dropped,
            }
            return self._num_windows, self._num_changes, message


def _same(one: Event, other: Event) -> bool:
    return one.class_name == other.class_name and one.onset == other.onset


def as_event_stream(message: dict[str, Any]) -> str:
    """Formats a message as a browser's EventSource takes it."""
    return f"data: {json.dumps(message)}\n\n"
