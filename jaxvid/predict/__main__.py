"""Finds events in videos of any length: a timeline, events and a picture for each; or follows a camera.

python -m jaxvid.predict --workdir=DIR VIDEO_OR_FOLDER... [--output=DIR] [--annotate] [--explain]
python -m jaxvid.predict --workdir=DIR --camera=0|ADDRESS
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from jaxvid import commands

_WORKDIR = flags.DEFINE_string("workdir", None, "directory of the training run", required=True)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")
_OUTPUT = flags.DEFINE_string("output", None, "directory to write to; by default predictions/ in the workdir")
_ANNOTATE = flags.DEFINE_bool("annotate", False, "write videos with the probabilities drawn in, too")
_EXPLAIN = flags.DEFINE_bool("explain", False, "draw what the network looks at in the highest window, too (Grad-CAM)")
_ON = flags.DEFINE_float("on_threshold", 0.6, "an event begins where the probability reaches this")
_OFF = flags.DEFINE_float("off_threshold", 0.4, "and ends where it falls below this")
_MIN_SECONDS = flags.DEFINE_float("min_seconds", 0.0, "what is shorter is no event")
_CLASSES = flags.DEFINE_list("event_classes", [], "classes that are events; by default the second of two, all of more")
_WINDOW = flags.DEFINE_float("window_seconds", None, "length of a window; by default that of the training clips")
_STRIDE = flags.DEFINE_float("stride_seconds", None, "from one window to the next; by default a quarter of a window")
_CAMERA = flags.DEFINE_string("camera", None, "number of a camera, or address of a stream, to follow")


def main(argv: Sequence[str]) -> int:
    """The command."""
    from jaxvid.predict.events import Thresholds

    thresholds = Thresholds(_ON.value, _OFF.value, _MIN_SECONDS.value)
    if _CAMERA.value is not None and len(argv) > 1:
        raise ValueError("--camera and videos exclude each other")
    commands.keep_compiled_programs()
    # Not at the top: importing them takes seconds, which --help and a misspelt flag need not wait for.
    from jaxvid.predict.files import Options, named_videos, predict_videos, summary
    from jaxvid.predict.predictor import load

    options = Options(thresholds, tuple(_CLASSES.value), _WINDOW.value, _STRIDE.value, _ANNOTATE.value, _EXPLAIN.value)
    workdir = Path(_WORKDIR.value)
    if _CAMERA.value is not None:
        from jaxvid.predict.camera import follow_camera

        # Windows go through the network one by one, as they come.
        follow_camera(load(workdir, _CHECKPOINT.value, batch_size=1), _CAMERA.value, options)
        return 0
    videos = named_videos([Path(argument) for argument in argv[1:]])
    output = Path(_OUTPUT.value) if _OUTPUT.value else workdir / "predictions"
    outcomes = predict_videos(load(workdir, _CHECKPOINT.value), videos, output, options)
    print(summary(outcomes))
    return 1 if any(outcome.timeline is None for outcome in outcomes) else 0


if __name__ == "__main__":
    commands.run(main)
