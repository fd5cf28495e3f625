"""Evaluates a checkpoint: metrics.json, predictions.csv and a report with pictures.

python -m jaxvid.evaluate --workdir=DIR [--split=NAME] [--dataset=NAME | --videos=DIR]
[--clips=N] [--crops=N] [--checkpoint=best|last|STEP] [--output=DIR]
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "directory of the training run", required=True)
_SPLIT = flags.DEFINE_string("split", None, "split to evaluate; by default the config's test split")
_DATASET = flags.DEFINE_string("dataset", None, "another TFDS dataset of the same classes, NAME/SIZE")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "where prepared datasets lie; by default as in training")
_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "where raw videos lie; by default as in training")
_VIDEOS = flags.DEFINE_string("videos", None, "folder of videos, <class>/<video>; needs no dataset")
_CLIPS = flags.DEFINE_integer("clips", None, "views over time to average; by default config.eval.clips")
_CROPS = flags.DEFINE_integer("crops", None, "crops of each view to average; by default config.eval.crops")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")
_OUTPUT = flags.DEFINE_string("output", None, "directory to write to; by default the workdir")


def main(argv: Sequence[str]) -> None:
    """The command."""
    commands.refuse_arguments(argv)
    if _DATASET.value and _VIDEOS.value:
        raise ValueError("--dataset and --videos exclude each other")
    commands.keep_compiled_programs()
    # Not at the top: importing it takes seconds, which --help need not wait for.
    from jaxvid.evaluate.evaluate import evaluate

    evaluate(
        Path(_WORKDIR.value),
        split=_SPLIT.value,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        manual_dir=_MANUAL_DIR.value,
        videos=Path(_VIDEOS.value) if _VIDEOS.value else None,
        clips=_CLIPS.value,
        crops=_CROPS.value,
        which=_CHECKPOINT.value,
        output=Path(_OUTPUT.value) if _OUTPUT.value else None,
    )


if __name__ == "__main__":
    commands.run(main)
