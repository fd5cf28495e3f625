"""Checks of a config before data is read."""

from jaxvid import parallel
from jaxvid.calibration import CALIBRATIONS, THRESHOLDS
from jaxvid.config import at_least, one_of
from jaxvid.data.inputs import check_inputs
from jaxvid.inference import check_views
from jaxvid.metrics.table import monitor_metric
from jaxvid.models.freezing import check_trainable
from jaxvid.train.adaptation import check_adaptation
from jaxvid.train.feature_cache import check_cached_views
from jaxvid.train.optimizer import check_optimizer
from jaxvid.train.resident import check_resident
from jaxvid.train.splits import CLASS_WEIGHTS
from jaxvid.train.two_stage import check_sequences
from jaxvid.types import ConfigDict
from jaxvid.video.faces import check_face_detector
from jaxvid.video.opening import DECODERS


def check_config(config: ConfigDict) -> None:
    """Checks everything that can be checked without data.

    Raises:
      ValueError: naming the key, its value and what is allowed.
    """
    check_inputs(config)
    check_optimizer(config.optimizer)
    check_adaptation(config)
    check_trainable(config.model)
    check_sequences(config)
    check_views(config)
    check_cached_views(config)
    check_resident(config)
    monitor_metric(config.eval.monitor)
    one_of(config.eval, "eval.calibration", CALIBRATIONS)
    one_of(config.eval, "eval.threshold", THRESHOLDS)
    one_of(config.train, "train.class_weights", CLASS_WEIGHTS)
    one_of(config.pipeline, "pipeline.decoder", DECODERS)
    if not 0 <= config.train.label_smoothing < 1:
        raise ValueError(f"config.train.label_smoothing is {config.train.label_smoothing}; allowed: 0 to below 1")
    if config.eval.blur_faces:
        check_face_detector()
    at_least(config.train, 1, "train.num_epochs", "train.log_every_steps")
    at_least(config.train, 0, "train.num_steps", "train.early_stopping_patience")
    at_least(config.eval, 1, "eval.every_epochs")
    at_least(config.eval, 0, "eval.every_steps")
    at_least(config.train, 1, "train.batch_size")
    try:
        parallel.count_sharing(config.train.batch_size)
    except ValueError as error:
        raise ValueError(f"config.train.batch_size is {config.train.batch_size}: {error}") from error
