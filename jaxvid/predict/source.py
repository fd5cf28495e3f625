"""The model to predict with: a checkpoint of a run, or an exported file."""

from pathlib import Path
from typing import NamedTuple

from jaxvid.predict import exported, predictor
from jaxvid.predict.predictor import Predictor
from jaxvid.video.addresses import as_path
from jaxvid.video.files import local_copy


class ModelFiles(NamedTuple):
    """Where the model is.

    Attributes:
      workdir: run directory; "" for an exported file.
      exported: path or address of an exported file; "" for a run directory.
      checkpoint: "best", "last", or the number of a step, of a run directory.
      positive_class: the positive one of two classes; "" for that of the config.
    """

    workdir: str
    exported: str = ""
    checkpoint: str = "best"
    positive_class: str = ""

    def load(self) -> Predictor:
        """Loads the model.

        Raises:
          ValueError: if there is none, or if there is no such class.
        """
        if self.workdir:
            return predictor.load(Path(self.workdir), self.checkpoint, positive_class=self.positive_class)
        with local_copy(as_path(self.exported)) as file:
            return exported.load(file, self.exported, positive_class=self.positive_class)
