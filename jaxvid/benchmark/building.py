"""Rate of building a dataset from video files."""

import tempfile
from pathlib import Path

from jaxvid.benchmark.timing import Row, Watch
from jaxvid.config import base_config
from jaxvid.data.dataset import open_split, prepare


def build_rate(folder: Path, size: tuple[int, int]) -> Row:
    """Builds a dataset from the videos of a folder, in a directory that is removed again, and returns the rate.

    Args:
      folder: with a folder for each class.
      size: height and width of the frames.
    """
    # Building needs it, and imports it in the first worker's time otherwise.
    import tensorflow as _  # noqa: F401

    dataset = base_config().dataset
    with tempfile.TemporaryDirectory() as directory:
        height, width = size
        dataset.update(
            name=f"video_folder/{height}x{width}", data_dir=directory, manual_dir=str(folder), on_invalid="skip"
        )
        watch = Watch()
        builder = prepare(dataset)
        seconds, cpu_seconds = watch.read()
        splits = [open_split(builder, name) for name in builder.info.splits]
    num_frames = sum(int(split.metadata.num_frames.sum()) for split in splits)
    return {
        "what": "build",
        "num_videos": sum(len(split) for split in splits),
        "num_frames": num_frames,
        "seconds": seconds,
        "frames_per_second": num_frames / seconds,
        "frames_per_cpu_second": num_frames / cpu_seconds,
    }
