"""The baselines of an evaluation: fitted on the training clips of the run, evaluated on the clips that it is."""

from jaxvid.baselines.fit import FittedBaseline, fit_baselines
from jaxvid.baselines.metrics import ComparedBaselines, compare_with_baselines, without_training_clips
from jaxvid.evaluate.evaluated import Evaluated
from jaxvid.evaluate.overlap import find_training_split
from jaxvid.types import ConfigDict


def evaluate_baselines(
    evaluated: Evaluated, trained_on: ConfigDict, data_dir: str, positive_class: str | None, num_resamples: int
) -> tuple[dict[str, FittedBaseline], ComparedBaselines]:
    """Returns the baselines, and their metrics beside the network's.

    There are none where the training clips are not prepared on this machine.

    Args:
      evaluated: result of running the network.
      trained_on: section `dataset` of the run's config.
      data_dir: where the training data may be prepared, besides `trained_on.data_dir`.
      positive_class: as of `metrics.classification.classification_metrics`, like the next one.
      num_resamples: number of bootstrap resamples.
    """
    network = evaluated.predicted.clips
    training = find_training_split(trained_on, data_dir)
    # A folder may have got other classes since.
    if training is None or len(training.class_names) != len(network.class_names):
        return {}, without_training_clips(trained_on.name)
    fitted = fit_baselines(training, evaluated.rows, network)
    words = f"{trained_on.name}, split {training.name}"
    compared = compare_with_baselines(
        network, fitted, words, positive_class=positive_class, num_resamples=num_resamples
    )
    return fitted, compared
