"""Stored clips: what a serialized record of a dataset holds, and what is kept in memory of all of them.

TensorFlow is not needed.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int, Int16, UInt8
from tensorflow_datasets.proto import tf_example_pb2

# Optional (the extra `fast`): the pictures are the same bit for bit, and take three quarters of OpenCV's time.
simplejpeg: Any = None
with contextlib.suppress(ImportError):
    import simplejpeg

# Generated code, of which type checkers see nothing.
_Example: Any = tf_example_pb2.Example  # pyright: ignore[reportAttributeAccessIssue]


@dataclasses.dataclass(frozen=True)
class Clip:
    """A stored clip: a whole video, or one sequence of it.

    Attributes:
      frames: JPEG images.
      label: position of its class among the class names.
      fps: frames per second.
      source: name of the recording that the video file was cut from.
      filename: name of the video file; for a sequence with its number, as in `<video>#0`.
      video: name of the video file.
      audio: 16-bit samples; empty without sound.
    """

    frames: Sequence[bytes]
    label: int
    fps: float
    source: str
    filename: str
    video: str
    audio: Int16[np.ndarray, "sample"]


@dataclasses.dataclass(frozen=True)
class ClipMetadata:
    """Columns of a split: all that is known of its clips but frames and sound, one entry per clip.

    Attributes:
      labels: positions of their classes among the class names.
      num_frames: numbers of their frames.
      num_samples: numbers of their sound's samples; 0 without sound.
      fps: frames per second.
      sources: recordings that the video files were cut from.
      filenames: names of the clips, each one unique.
      videos: names of the video files.
    """

    labels: Int[np.ndarray, "clip"]
    num_frames: Int[np.ndarray, "clip"]
    num_samples: Int[np.ndarray, "clip"]
    fps: Float[np.ndarray, "clip"]
    sources: list[str]
    filenames: list[str]
    videos: list[str]

    def first_clips(self) -> dict[str, int]:
        """Returns the position of the first clip of every video, in the order of the videos."""
        first: dict[str, int] = {}
        for position, video in enumerate(self.videos):
            first.setdefault(video, position)
        return first

    def take(self, indices: Int[np.ndarray, "selected"]) -> "ClipMetadata":
        """Returns the entries at `indices`, in that order."""
        return ClipMetadata(
            self.labels[indices],
            self.num_frames[indices],
            self.num_samples[indices],
            self.fps[indices],
            [self.sources[i] for i in indices],
            [self.filenames[i] for i in indices],
            [self.videos[i] for i in indices],
        )


def parse_clip(record: bytes) -> Clip:
    """Returns the clip of a serialized tf.train.Example, with its frames still encoded (see `decode_frames`)."""
    feature = _Example.FromString(record).features.feature
    filename = feature["filename"].bytes_list.value[0].decode()
    return Clip(
        frames=feature["video"].bytes_list.value,
        label=feature["label"].int64_list.value[0],
        fps=feature["fps"].float_list.value[0],
        source=feature["source"].bytes_list.value[0].decode(),
        filename=filename,
        # Only sequences are stored with the time at which they begin.
        video=filename.rpartition("#")[0] if "begin" in feature else filename,
        audio=np.frombuffer(feature["audio"].bytes_list.value[0] if "audio" in feature else b"", "<i2"),
    )


def decode_frames(
    frames: Sequence[bytes], indices: Int[np.ndarray, "time"]
) -> UInt8[np.ndarray, "time height width 3"]:
    """Returns the RGB images of the JPEG frames at `indices`; a frame that occurs twice is decoded once.

    Raises:
      ValueError: if a frame is no JPEG image.
    """
    needed, positions = np.unique(indices, return_inverse=True)
    images = np.stack([_decode_jpeg(frames[i]) for i in needed])
    # A copy is spared where the frames are different ones in their order, as nearly always.
    return images if np.array_equal(needed, indices) else images[positions]


def _decode_jpeg(frame: bytes) -> UInt8[np.ndarray, "height width 3"]:
    image = _opencv_decoded(frame) if simplejpeg is None else _simplejpeg_decoded(frame)
    if image is None:
        raise ValueError(
            "a stored frame is no JPEG image: the dataset is damaged; remove its folder and build it again"
        )
    return np.asarray(image, np.uint8)


def _opencv_decoded(frame: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR_RGB)


def _simplejpeg_decoded(frame: bytes) -> Any:
    try:
        # Damage within an image is no error, as in OpenCV.
        return simplejpeg.decode_jpeg(frame, "RGB", strict=False)
    except ValueError:
        return None
