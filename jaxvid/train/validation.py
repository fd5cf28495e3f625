"""Metrics of the validation split during training."""

from jaxvid.classes import find_positive_class
from jaxvid.data.dataset import ClipSplit
from jaxvid.inference import Predicted, predict_split
from jaxvid.metrics.classification import point_values
from jaxvid.metrics.table import MONITORED
from jaxvid.steps import TrainState
from jaxvid.trained import Probabilities
from jaxvid.types import ConfigDict


def validate(probabilities: Probabilities, split: ClipSplit, config: ConfigDict, state: TrainState) -> dict[str, float]:
    """Returns the metrics of `state` on the frames of `split`."""
    return validation_metrics(predict_split(probabilities, state.evaluated_variables, split, config), config)


def validation_metrics(predicted: Predicted, config: ConfigDict) -> dict[str, float]:
    """Returns metrics per clip (`val_`) and, if clips have several windows, per window (`val_window_`)."""
    positive_class = find_positive_class(predicted.clips.class_names, config.dataset.positive_class)
    values = point_values(predicted.clips, positive_class)
    metrics = {f"val_{metric.name}": values[metric.name] for metric in MONITORED}
    if predicted.views is not None:
        of_windows = point_values(predicted.views, positive_class)
        metrics |= {f"val_window_{name}": of_windows[name] for name in ("loss", "accuracy")}
    return metrics
