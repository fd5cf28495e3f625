"""The model as `RunInference` of Apache Beam takes it."""

import contextlib
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.ml.inference.base import ModelHandler

import jaxvid
from jaxvid import commands
from jaxvid.predict.bulk.inputs import Input
from jaxvid.predict.bulk.parts import part_name
from jaxvid.predict.events import event_classes
from jaxvid.predict.files import PredictOptions, VideoResult, video_result
from jaxvid.predict.follow import blank_window
from jaxvid.predict.predictor import Predictor
from jaxvid.predict.rows import Model, Tables, described_model, joined, result_rows
from jaxvid.predict.source import ModelFiles
from jaxvid.video.addresses import as_path
from jaxvid.video.files import local_copy
from jaxvid.video.workers import InvalidVideoError


class Program(NamedTuple):
    """What started the pipeline, which all workers must agree with.

    Attributes:
      model: its model.
      version: of jaxvid.
      process: host and number of the process.
    """

    model: Model
    version: str
    process: tuple[str, int]


def this_program(model: Model) -> Program:
    """Returns what describes this process."""
    return Program(model, jaxvid.__version__, _this_process())


def _this_process() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


class PartRows(NamedTuple):
    """The rows of a predicted part.

    Attributes:
      name: of the part.
      rows: of its videos.
    """

    name: str
    rows: Tables


class BulkPredictor:
    """A predictor of parts, which the threads of a worker share."""

    def __init__(self, predictor: Predictor, model: Model, options: PredictOptions, num_decoders: int):
        """Makes one.

        Args:
          predictor: of all videos.
          model: that describes it.
          options: how videos are predicted.
          num_decoders: processes that decode the videos of a part.
        """
        self._predictor, self._model, self._options = predictor, model, options
        self._num_decoders = num_decoders
        self._classes = event_classes(predictor.class_names, options.classes, predictor.positive_class)

    def predict(self, videos: Sequence[Input]) -> Tables:
        """Returns the rows of videos; one that cannot be copied or read has a row that says why.

        Windows of all videos share batches. Those at addresses are copied here one by one, and are deleted afterward.
        """
        results: list[tuple[Input, VideoResult]] = []
        with contextlib.ExitStack() as stack:
            copies: list[tuple[Input, Path]] = []
            for video in videos:
                try:
                    copies.append((video, stack.enter_context(local_copy(as_path(video.path)))))
                except (InvalidVideoError, ValueError) as error:
                    reason = error.reason if isinstance(error, InvalidVideoError) else str(error)
                    results.append((video, VideoResult(Path(video.path), Path(), None, [], reason)))
            predictions = self._predictor.predict_videos(
                [copy for _, copy in copies],
                window_seconds=self._options.window_seconds,
                stride_seconds=self._options.stride_seconds,
                num_workers=self._num_decoders,
            )
            for prediction in predictions:
                video, copy = copies[prediction.video]
                results.append((video, video_result(prediction, copy, Path(), self._classes, self._options)))
            # Before the copies go: the header of each is read.
            source = self._options.source
            return joined([result_rows(result, video.row_path, source, self._model) for video, result in results])


class VideoModelHandler(ModelHandler[Input, PartRows, BulkPredictor]):
    """Predicts parts, each a batch of its own, with a checkpoint or an exported file.

    A process of a worker loads and compiles the model once, and its threads share it; with `share`, the processes of a
    machine do too, as those that share a GPU must.
    """

    def __init__(self, files: ModelFiles, options: PredictOptions, program: Program, *, share: bool = False):
        """Makes one that has loaded nothing.

        Args:
          files: the model; every worker must see them.
          options: how videos are predicted.
          program: that started the pipeline.
          share: whether the processes of a machine share one model.
        """
        super().__init__(large_model=share)
        self._files, self._options, self._program = files, options, program

    def load_model(self) -> BulkPredictor:
        """Loads and compiles the model.

        Raises:
          ValueError: if the worker has another version of jaxvid, or finds no model, or another one.
        """
        host = socket.gethostname()
        if jaxvid.__version__ != self._program.version:
            raise ValueError(
                f"worker {host} has jaxvid {jaxvid.__version__}, and the program that started it "
                f"{self._program.version}: install the same version"
            )
        commands.keep_compiled_programs()
        predictor = self._files.load()
        found, expected = described_model(predictor), self._program.model
        if found.id != expected.id:
            raise ValueError(
                f"worker {host} has another model than the program that started it: {found.id} and {expected.id} at "
                f"{expected.name}"
            )
        # Threads that meet a program that is not compiled yet would each compile it.
        list(predictor.follow([blank_window(predictor)]))
        # The process of the program itself has the machine alone; of others there may be one per core.
        alone = _this_process() == self._program.process
        return BulkPredictor(predictor, expected, self._options, (os.cpu_count() or 1) if alone else 1)

    def should_skip_batching(self) -> bool:
        """Returns that parts come as batches."""
        return True

    def run_inference(
        self, batch: Sequence[Input], model: BulkPredictor, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PartRows]:
        """Predicts the videos of a part."""
        return [PartRows(part_name(batch, self._program.model.id), model.predict(batch))]
