"""Evaluates a checkpoint, or the events that prediction found in videos.

A checkpoint, on labeled clips: writes metrics.json, predictions.csv and a report with plots.

python -m jaxvid.evaluate --workdir=DIR [--split=NAME] [--dataset=NAME | --videos=DIR [--sources=FILE.csv]]
[--class_map=theirs:ours,...] [--positive_class=NAME] [--clips=N] [--crops=N] [--every_frame]
[--checkpoint=best|last|STEP] [--output=DIR]

The frame classifier that configs/genre.py trains in its first stage is a run in WORKDIR/frames: with --every_frame,
the metrics of single frames are those of "Single windows", and those of clips are of the means over their frames.

Events, against those that people see: writes event_metrics.json.

python -m jaxvid.evaluate --labels=FILE.csv[,FILE.csv...] [--predictions=DIR | --workdir=DIR]
[--class_map=theirs:ours,...] [--output=DIR]

--labels takes the files that the pages of `jaxvid.predict` download, or any with the columns video, onset, offset
(seconds) and class. Precision, recall, false alarms an hour and average precision are of events: one that was found is
right if it overlaps a true one enough, by temporal IoU from 0.1 to 0.5 (one to one, the most probable first, as in
ActivityNet and THUMOS), or at all ("any"). Only videos that the labels name count.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "run directory")
_SPLIT = flags.DEFINE_string(
    "split", None, "split to evaluate, or several together, train+val (default: the config's test split)"
)
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
_EVERY_FRAME = flags.DEFINE_bool(
    "every_frame", False, "of a network of single frames, such as WORKDIR/frames of a genre run: evaluate every frame"
)
_BLUR_FACES = flags.DEFINE_bool(
    "blur_faces",
    None,
    "blur faces in the report (default: config.eval.blur_faces); many are missed, so that this is no anonymization",
)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")
_LABELS = flags.DEFINE_list("labels", [], "CSV files of true events, to evaluate the events that were found")
_PREDICTIONS = flags.DEFINE_string(
    "predictions", None, "with --labels: directory that jaxvid.predict wrote to (default: predictions/ in the workdir)"
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "directory to write to (default: the workdir, or the directory of the predictions)"
)


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    commands.refuse_arguments(argv)
    if _LABELS.value:
        _evaluate_events()
        return
    workdir = _checked_workdir()
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.classes import parse_class_map
    from jaxvid.evaluate.evaluate import evaluate

    commands.keep_compiled_programs()
    evaluate(
        Path(workdir),
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
        every_frame=_EVERY_FRAME.value,
        blur_faces=_BLUR_FACES.value,
        which=_CHECKPOINT.value,
        output=Path(_OUTPUT.value) if _OUTPUT.value else None,
        command=shlex.join(["python", "-m", "jaxvid.evaluate", *sys.argv[1:]]),
    )


def _evaluate_events() -> None:
    for flag in (_SPLIT, _DATASET, _VIDEOS, _SOURCES, _CLIPS, _CROPS):
        if flag.value is not None:
            raise ValueError(f"--labels and --{flag.name} exclude each other: labels are of events found before")
    predictions = _PREDICTIONS.value or (_WORKDIR.value and f"{_WORKDIR.value}/predictions")
    if not predictions:
        raise ValueError("--labels needs --predictions, or the --workdir that holds predictions/")
    from jaxvid.classes import parse_class_map
    from jaxvid.evaluate.events import evaluate_events

    evaluate_events(
        Path(predictions),
        [Path(path) for path in _LABELS.value],
        class_map=parse_class_map(_CLASS_MAP.value),
        output=Path(_OUTPUT.value) if _OUTPUT.value else None,
    )


def _checked_workdir() -> str:
    """Returns the workdir, and checks which flags were given.

    Raises:
      ValueError: if it is missing, or flags exclude each other.
    """
    if not _WORKDIR.value:
        raise ValueError("--workdir is missing: the run directory of the checkpoint")
    if _PREDICTIONS.value:
        raise ValueError("--predictions needs --labels: the true events")
    if _VIDEOS.value and _DATASET.value:
        raise ValueError("--dataset and --videos exclude each other")
    if _VIDEOS.value and _SPLIT.value:
        raise ValueError("--split and --videos exclude each other: a folder of videos has no splits")
    if _SOURCES.value and not _VIDEOS.value:
        raise ValueError("--sources needs --videos: a dataset has sources of its own")
    return _WORKDIR.value


if __name__ == "__main__":
    commands.run(main)
