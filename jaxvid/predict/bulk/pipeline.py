"""Bulk prediction: parts of the videos spread over the workers of Apache Beam, each written as soon as it is predicted.

Nothing is collected on the way: a step that waits for all videos would lose them all when a run is killed.
"""

import re
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineState

from jaxvid.predict.bulk.handler import PartRows, VideoModelHandler, this_program
from jaxvid.predict.bulk.inputs import Input
from jaxvid.predict.bulk.parts import Output, divided, part_name, read_listing
from jaxvid.predict.events import event_classes
from jaxvid.predict.files import PredictOptions
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.rows import described_model
from jaxvid.predict.source import ModelFiles
from jaxvid.video.addresses import readable

# On this machine. Beam's default tries first to download another one from GitHub.
_DEFAULT_RUNNER = "FnApiRunner"


class BulkResult(NamedTuple):
    """What a run has done.

    Attributes:
      num_before: videos that had been predicted already.
      rows: of the others, in the table of videos.
    """

    num_before: int
    rows: list[dict[str, Any]]


def pipeline_options(text: str) -> PipelineOptions:
    """Returns the options of Apache Beam that a text holds, as typed after a command.

    Raises:
      ValueError: if an option is unknown to a runner on this machine. Others get what Beam does not know itself.
    """
    options = PipelineOptions(shlex.split(text))
    standard = options.view_as(StandardOptions)
    if standard.runner is None:
        standard.runner = _DEFAULT_RUNNER
    unknown = set(options.get_all_options(retain_unknown_options=True)) - set(options.get_all_options())
    if unknown and standard.runner in StandardOptions.LOCAL_RUNNERS:
        raise ValueError(f"--beam_options={text!r}; {standard.runner} does not know: {', '.join(sorted(unknown))}")
    return options


def predict_bulk(
    predictor: Predictor,
    files: ModelFiles,
    videos: Sequence[Input],
    output: Output,
    options: PredictOptions,
    beam_options: PipelineOptions,
    *,
    share: bool = False,
) -> BulkResult:
    """Predicts the videos that the same model has not predicted into the same output yet.

    A video that cannot be read has a row that says why, and does not stop the others.

    Args:
      predictor: the model, loaded here.
      files: where the workers load it from.
      videos: the videos.
      output: where the rows go.
      options: how videos are predicted.
      beam_options: the runner, and its options.
      share: whether the processes of a machine share one model, as on a GPU.

    Raises:
      ValueError: if an option does not fit the model, the output cannot be written to, or the pipeline fails.
    """
    event_classes(predictor.class_names, options.classes, predictor.positive_class)
    predictor.plan(window_seconds=options.window_seconds, stride_seconds=options.stride_seconds)
    program = this_program(described_model(predictor))
    with readable(output.root):
        output.create()
        output.remove_incomplete()
        done = {row["path"] for _, rows in output.videos() for row in rows if row["model"] == program.model.id}
    parts = divided([video for video in videos if video.row_path not in done])
    handler = VideoModelHandler(files, options, program, share=share)
    if parts:
        with output.listing(parts) as listing:
            _run(listing, handler, output, program.model.id, beam_options)
    names = {part_name(part, program.model.id) for part in parts}
    written = [row for name, rows in output.videos() if name in names for row in rows]
    return BulkResult(len(videos) - sum(map(len, parts)), written)


def _run(listing: str, handler: VideoModelHandler, output: Output, model: str, beam_options: PipelineOptions) -> None:
    pipeline = beam.Pipeline(options=beam_options)
    _ = (
        pipeline
        | "Listing" >> beam.Create([listing])
        | "Parts" >> beam.FlatMap(read_listing)
        | "Spread" >> beam.Reshuffle()
        # A runner may give a part to a second worker when the first one is lost.
        | "Missing" >> beam.Filter(_is_missing, output, model)
        | "Predict" >> RunInference(handler)
        | "Write" >> beam.Map(_write, output)
    )
    try:
        state = pipeline.run().wait_until_finish()
    except Exception as error:
        raise ValueError(f"the pipeline failed: {_reason(error)}") from error
    if state not in (None, PipelineState.DONE):
        raise ValueError(f"the pipeline ended as {state}; the runner's log says why")


def _is_missing(part: Sequence[Input], output: Output, model: str) -> bool:
    return not output.has(part_name(part, model))


def _write(part: PartRows, output: Output) -> None:
    output.write(part.name, part.rows)


def _reason(error: Exception) -> str:
    """Returns the error of a worker in one line, which runners wrap in pages of text."""
    found = re.findall(
        r"^(?:[\w.]*\.)?\w+(?:Error|Exception): (.+?)(?: \[while running .*)?$", str(error), re.MULTILINE
    )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return found[-1] if found else lines[-1]
