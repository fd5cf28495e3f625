"""Evaluates a checkpoint: writes metrics.json, predictions.csv and a report with plots.

python -m jaxvid.evaluate --workdir=DIR [--split=NAME] [--dataset=NAME | --videos=DIR [--sources=FILE.csv]]
[--class_map=theirs:ours,...] [--positive_class=NAME] [--clips=N] [--crops=N] [--checkpoint=best|last|STEP]
[--output=DIR]
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "run directory", required=True)
_SPLIT = flags.DEFINE_string("split", None, "split to evaluate (default: the config's test split)")
_DATASET = flags.DEFINE_string(
    "dataset", None, "TFDS dataset to evaluate, NAME/SIZE; its classes are among the model's (default: the config's)"
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "directory of prepared datasets (default: as in training)")
_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "directory of raw videos (default: as in training)")
_VIDEOS = flags.DEFINE_string(
    "videos", None, "folder to evaluate, <class>/<video> or <class>/<source>/<video>; needs no dataset"
)
_SOURCES = flags.DEFINE_string(
    "sources", None, "CSV file with the columns video (path in the folder of --videos) and source (default: folders)"
)
_CLASS_MAP = flags.DEFINE_string(
    "class_map", "", "theirs:ours,...: classes of the data that the model has under other names"
)
_POSITIVE_CLASS = flags.DEFINE_string(
    "positive_class", "", "the positive one of two classes (default: the config's, else the one that the other negates)"
)
_CLIPS = flags.DEFINE_integer("clips", None, "views over time to average (default: config.eval.clips)")
_CROPS = flags.DEFINE_integer("crops", None, "crops of each view to average (default: config.eval.crops)")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")
_OUTPUT = flags.DEFINE_string("output", None, "directory to write to (default: the workdir)")


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    _check_combination()
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.classes import parse_class_map
    from jaxvid.evaluate.evaluate import evaluate

    commands.keep_compiled_programs()
    evaluate(
        Path(_WORKDIR.value),
        split=_SPLIT.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        manual_dir=_MANUAL_DIR.value,
        videos=Path(_VIDEOS.value) if _VIDEOS.value else None,
        sources=Path(_SOURCES.value) if _SOURCES.value else None,
        class_map=parse_class_map(_CLASS_MAP.value),
        positive_class=_POSITIVE_CLASS.value,
        clips=_CLIPS.value,
        crops=_CROPS.value,
        which=_CHECKPOINT.value,
        output=Path(_OUTPUT.value) if _OUTPUT.value else None,
        command=shlex.join(["python", "-m", "jaxvid.evaluate", *sys.argv[1:]]),
    )


def _check_combination() -> None:
    if _VIDEOS.value and _DATASET.value:
        raise ValueError("--dataset and --videos exclude each other")
    if _VIDEOS.value and _SPLIT.value:
        raise ValueError("--split and --videos exclude each other: a folder of videos has no splits")
    if _SOURCES.value and not _VIDEOS.value:
        raise ValueError("--sources needs --videos: a dataset has sources of its own")


if __name__ == "__main__":
    commands.run(main)
