"""Made-up rows of a clip index, and splits that have nothing else."""

import numpy as np
import pyarrow as pa

from jaxvid.data.clip_index import metadata_of
from jaxvid.data.dataset import ClipSplit
from tfds_builders.clip_index import SCHEMA

FILE = {
    "container": "avi",
    "codec": "mjpeg",
    "height": 240,
    "width": 320,
    "fps": 25.0,
    "seconds": 4.0,
    "has_sound": True,
    "num_bytes": 5000,
}
CHANGE = {"mean": 1.0, "spread": 2.0, "maximum": 3.0, "spread_over_time": 4.0, "maximum_over_time": 5.0}


def make_row(video, label="calm", *, number=None, num_frames=50, fps=12.5, change=(), **file):
    """A row: of a whole video, or of its sequence `number`; `file` and `change` replace values, or file=None all."""
    known = FILE | {name: value for name, value in file.items() if name != "file"}
    return {
        "filename": video if number is None else f"{video}#{number}",
        "video": video,
        "label": label,
        "source": video,
        "num_frames": num_frames,
        "num_samples": 0,
        "fps": fps,
        "file": file.get("file", known),
        "pixel_change": CHANGE | dict(change),
    }


def make_table(rows):
    return pa.Table.from_pylist(rows, SCHEMA)


def make_split(rows, class_names=("calm", "fight")):
    table = make_table(rows)
    return ClipSplit("train", [], table, np.arange(len(rows)), metadata_of(table, class_names), list(class_names))
