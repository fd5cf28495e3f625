"""What is shown in the terminal while videos are predicted."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from jaxvid.predict.batches import Classified
from jaxvid.video.streams import open_video, video_seconds
from jaxvid.video.workers import InvalidVideoError

# The speed, as a multiple of real time, is in the postfix.
_ONE_VIDEO = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s {postfix}"


class Progress:
    """A bar: the seconds of a single video, or the number of videos done; with the speed.

    Attributes:
      seconds: of video predicted so far.
    """

    def __init__(self, paths: Sequence[Path]):
        """Begins with none of the videos read."""
        self._began, self.seconds = time.perf_counter(), 0.0
        if len(paths) == 1:
            total = _seconds(paths[0])
            self._bar = tqdm(total=total or 1.0, desc=_shortened(paths[0].name), unit="s", bar_format=_ONE_VIDEO)
        else:
            self._bar = tqdm(total=len(paths), desc="Predicting", unit="video")
        self._is_single = len(paths) == 1

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def watch(self, classified: Classified) -> None:
        """Takes note of a window."""
        if self._is_single:
            self.seconds = classified.window.end
            self._bar.total = max(self._bar.total, self.seconds)
            self._show(self.seconds - self._bar.n)

    def finish(self, seconds: float) -> None:
        """Takes note of the end of a video of that length, of which 0 s could be read if it is broken."""
        if not self._is_single:
            self.seconds += seconds
            self._show(1)

    def _show(self, progress: int | float) -> None:
        self._bar.set_postfix_str(f"{self.speed:.1f} x real time", refresh=False)
        self._bar.update(progress)

    @property
    def speed(self) -> float:
        """Seconds of video per second so far."""
        return self.seconds / (time.perf_counter() - self._began)


def _seconds(path: Path) -> float | None:
    """Returns the length of a video that its header states; None if it has none, or is no video."""
    with contextlib.suppress(InvalidVideoError), open_video(path) as container:
        return video_seconds(container)


def _shortened(name: str) -> str:
    return (name if len(name) <= 30 else f"{name[:14]}…{name[-15:]}").encode(errors="replace").decode()
