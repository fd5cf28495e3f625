"""Windows of video files, read ahead of the network. Worker processes import this module, so it must not import JAX."""

import contextlib
import dataclasses
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxvid.predict.windows import Window, WindowPlan, windows
from jaxvid.video.ahead import ahead
from jaxvid.video.damage import Damage
from jaxvid.video.sound import open_sound
from jaxvid.video.streams import decode_stream, open_video, video_start
from jaxvid.video.workers import InvalidVideo, decode_in_workers

# Windows that may wait for the network.
_AHEAD = 16
# How long a worker may take for a window, beyond the time of the video that it takes to fill it.
_PATIENCE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Reading:
    """How videos are read.

    Attributes:
      plan: the windows to take.
      size: height and width of the frames.
      sample_rate: of the sound, in hertz; 0 for no sound.
    """

    plan: WindowPlan
    size: tuple[int, int]
    sample_rate: int


def read_windows(path: Path, reading: Reading, damage: Damage | None, num_threads: int = 0) -> Iterator[Window]:
    """Yields the windows of a video.

    Args:
      path: the file.
      reading: how it is read.
      damage: takes note of what cannot be read; by default it is an error.
      num_threads: that decode; 0 for one per core.

    Raises:
      InvalidVideoError: if the file is no video or has no frames, or (without `damage`) does not decode to its end.
    """
    with (
        open_video(path) as container,
        open_sound(path, reading.sample_rate, video_start(container), damage) as sound,
    ):
        frames = decode_stream(container, path, reading.size, damage, num_threads)
        yield from windows(frames, reading.plan, sound=sound)


def read_ahead(path: Path, reading: Reading, damage: Damage | None) -> Generator[Window, None, None]:
    """Yields the windows of a video as `read_windows` does; a thread reads while the consumer is busy."""
    return ahead(read_windows(path, reading, damage), _AHEAD)


def read_videos(
    paths: Sequence[Path], reading: Reading, num_workers: int | None = None
) -> Generator[tuple[int, Window | Damage | InvalidVideo], None, None]:
    """Yields the windows of videos with the position of the path, and last of each video what was wrong with it.

    That is its Damage, or an InvalidVideo if it could not be read at all. Videos are read by worker processes, several
    at a time and as they come, so that none waits for another, and one that hangs or crashes the decoder costs no
    other; the workers are ahead of the consumer by a few windows.

    Args:
      paths: the files.
      reading: how they are read.
      num_workers: number of processes; by default one per core.
    """
    patience = _PATIENCE_SECONDS + reading.plan.seconds + reading.plan.stride
    results = decode_in_workers(
        partial(_packed, reading=reading, num_threads=0 if len(paths) == 1 else 1),
        paths,
        num_workers=num_workers,
        timeout_seconds=patience,
        in_order=False,
    )
    images: dict[int, dict[int, np.ndarray]] = {}
    with contextlib.closing(ahead(results, _AHEAD)) as read:
        for video, item in read:
            if isinstance(item, _Packed):
                images[video] = item.images_from(images.get(video, {}))
                yield video, item.unpacked(images[video])
            else:
                images.pop(video, None)
                yield video, item


def _readable_part(path: Path, reading: Reading, num_threads: int) -> Iterator[Window | Damage]:
    damage = Damage()
    yield from read_windows(path, reading, damage, num_threads)
    yield damage


@dataclasses.dataclass(frozen=True)
class _Packed:
    """A window on its way between processes: with those images alone that the windows before it did not have.

    Attributes:
      window: the window without images.
      new: the images, by the numbers of their frames.
    """

    window: Window
    new: dict[int, UInt8[np.ndarray, "height width 3"]]

    def images_from(self, earlier: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Returns the images of the window and those that later ones may have, given those of the window before."""
        first = self.window.numbers[0]
        return {number: image for number, image in earlier.items() if number >= first} | self.new

    def unpacked(self, images: dict[int, np.ndarray]) -> Window:
        """Returns the window with its images."""
        return self.window._replace(images=tuple(images[number] for number in self.window.numbers))


def _packed(path: Path, *, reading: Reading, num_threads: int) -> Iterator[Any]:
    """Yields the windows of a video as a worker sends them; of several workers, each decodes with one thread."""
    return _without_repetition(_readable_part(path, reading, num_threads))


def _without_repetition(items: Iterable[Window | Damage]) -> Iterator[Any]:
    sent: set[int] = set()
    for item in items:
        if not isinstance(item, Window):
            yield item
            continue
        pairs = dict(zip(item.numbers, item.images, strict=True))
        new = {number: image for number, image in pairs.items() if number not in sent}
        sent = {number for number in sent | set(new) if number >= item.numbers[0]}
        yield _Packed(item._replace(images=()), new)
