"""Decoded clips as examples of a dataset, and examples as its records."""

import dataclasses
import functools
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow_datasets.core import example_serializer

from tfds_builders.video_config import VideoConfig
from tfds_builders.video_files import VideoFile

if TYPE_CHECKING:
    # Not at run time: reading a prepared dataset needs neither decord nor OpenCV.
    from jaxvid.video.clips import EncodedClip
    from jaxvid.video.sequences import SequenceForm

Example = dict[str, str | np.float32 | np.ndarray | list[bytes] | None]

# Keys and examples.
Examples = Generator[tuple[str, Example], None, None]


@dataclasses.dataclass(frozen=True)
class RecordForm:
    """The form of a dataset's records.

    Attributes:
      config: of the dataset.
      features: of its `tfds.core.DatasetInfo`.
    """

    config: VideoConfig
    features: Any

    def sequences(self) -> "SequenceForm":
        """Returns the form of the sequences that videos are stored as, unless the config is plain."""
        # Not at the top: reading a prepared dataset needs neither decord nor OpenCV.
        from jaxvid.video.sequences import SequenceForm

        size = (self.config.height, self.config.width)
        return SequenceForm(size, self.config.fps, self.config.sequence_frames, self.config.audio)

    def filename(self, video: VideoFile, number: int) -> str:
        """Returns the name of a video's example of that number."""
        return f"{video.filename}#{number}" if self.config.sequence_frames else video.filename

    def example(self, video: VideoFile, number: int, decoded: "EncodedClip") -> Example:
        """Returns a decoded clip as a video's example of that number."""
        example: Example = {
            "video": decoded.frames,
            "label": video.label,
            "fps": np.float32(decoded.fps),
            "source": video.source,
            "filename": self.filename(video, number),
        }
        if self.config.sequence_frames:
            example["begin"] = np.float32(decoded.begin)
        if self.config.audio:
            example["audio"] = decoded.audio
        return example

    def record(self, example: Example) -> bytes:
        """Returns an example as it is stored: the same bytes on every machine, which TFDS leaves to chance."""
        encoded = self._serializer.get_tf_example(self.features.encode_example(example))
        return encoded.SerializeToString(deterministic=True)

    @functools.cached_property
    def _serializer(self) -> example_serializer.ExampleSerializer:
        return example_serializer.ExampleSerializer(self.features.get_serialized_info())
