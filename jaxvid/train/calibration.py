"""The end of a run: a temperature and a threshold are chosen on the validation clips, if its config asks for them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize_scalar

from jaxvid import checkpoint, parallel, processes, trained
from jaxvid.calibration import (
    SMALLEST,
    Calibration,
    FittedOn,
    Threshold,
    is_asked_for,
    read_calibration,
    tempered,
    write_calibration,
)
from jaxvid.classes import find_positive_class
from jaxvid.config import load_config
from jaxvid.data.dataset import ClipSplit
from jaxvid.data.joined import prepare_data
from jaxvid.inference import predict_view_outputs, video_views
from jaxvid.metrics.predictions import Predictions, average_views
from jaxvid.types import ConfigDict

# The range of temperatures. At its ends nearly all probability is on one class, or on none.
_LOWEST, _HIGHEST = 0.05, 20.0


def check_threshold(config: ConfigDict, class_names: Sequence[str], labels: Int[np.ndarray, "clip"]) -> None:
    """Checks that a threshold can be chosen, if `config.eval.threshold` asks for one.

    Args:
      config: of the run.
      class_names: of the dataset.
      labels: of the validation clips.

    Raises:
      ValueError: if there are other than two classes, it is not known which is the positive one, or one has no clips.
    """
    if config.eval.threshold == "none":
        return
    wrong = f"config.eval.threshold is {config.eval.threshold!r}; allowed"
    if len(class_names) != 2:
        raise ValueError(f"{wrong} with {len(class_names)} classes: none")
    if find_positive_class(class_names, config.dataset.positive_class) is None:
        raise ValueError(
            f"{wrong} without a positive class: none; neither of the names {', '.join(class_names)} negates the other, "
            "so choose one with dataset.positive_class"
        )
    if missing := [name for index, name in enumerate(class_names) if index not in labels]:
        raise ValueError(f"{wrong} without clips of {missing[0]} in the validation split: none")


def calibrate(workdir: Path, which: str = "best", *, dataset: ConfigDict | None = None) -> None:
    """Chooses the temperature and the threshold of a checkpoint on the validation clips, and stores them.

    Nothing is done if the config of the run asks for neither, or the checkpoint has them already.

    Args:
      workdir: of the run.
      which: "best", "last", or the number of a step.
      dataset: that section of the config, if the data now lies elsewhere.

    Raises:
      ValueError: if there is no such checkpoint, or its validation clips cannot choose a threshold.
    """
    config = load_config(workdir)
    if not is_asked_for(config):
        return
    config.dataset = config.dataset if dataset is None else dataset
    step = checkpoint.find_step(workdir, config.eval.monitor, which)
    try:
        read_calibration(workdir, step, config)
    except ValueError:
        logging.info("Calibrating step %d on the clips of %s", step, config.dataset.val_split)
    else:
        return
    split = prepare_data(config.dataset, config.pipeline.decoder).open_split(config.dataset.val_split)
    check_threshold(config, split.class_names, split.metadata.labels)
    calibration = _fitted(workdir, step, split, config)
    for name, words in calibration.described().items():
        logging.info("%s: %s", name, words)
    if parallel.on_first_process():
        write_calibration(workdir, step, config, calibration)
    processes.wait_for_all("calibration")


def _fitted(workdir: Path, step: int, split: ClipSplit, config: ConfigDict) -> Calibration:
    run = trained.load(workdir, str(step), config=config, calibrated=False)
    outputs = predict_view_outputs(run.probabilities, run.variables, split, config)
    clips, clip_of_view, views = video_views(split, *outputs)
    temperature = None
    if config.eval.calibration == "temperature":
        temperature = fit_temperature(views, clip_of_view, clips.labels)
    before = clips.probabilities
    after = average_views(clip_of_view, Calibration(temperature).apply(views), len(clips.clips))
    threshold, balanced_accuracy = None, None
    if config.eval.threshold == "validation":
        threshold, balanced_accuracy = _threshold(clips, after, config)
    fitted_on = FittedOn(
        config.dataset.name,
        split.name,
        len(clips.clips),
        len(set(clips.sources)),
        negative_log_likelihood(before, clips.labels),
        negative_log_likelihood(after, clips.labels),
        balanced_accuracy,
    )
    return Calibration(temperature, threshold, fitted_on)


def _threshold(
    clips: Predictions, probabilities: Float[np.ndarray, "clip 2"], config: ConfigDict
) -> tuple[Threshold, float]:
    names = list(config.dataset.class_names)
    positive = find_positive_class(names, config.dataset.positive_class)
    assert positive is not None
    label = names.index(positive)
    probability, balanced_accuracy = choose_threshold(probabilities[:, label], clips.labels == label)
    return Threshold(positive, probability), balanced_accuracy


def negative_log_likelihood(probabilities: Float[np.ndarray, "clip classes"], labels: Int[np.ndarray, "clip"]) -> float:
    """Returns the mean negative logarithm of the true classes' probabilities, in nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], SMALLEST)).mean())


def fit_temperature(
    outputs: Float[np.ndarray, "view classes"], clip_of_view: Int[np.ndarray, "view"], labels: Int[np.ndarray, "clip"]
) -> float:
    """Returns the temperature at which the clips have the least negative log-likelihood, between 0.05 and 20.

    With one view a clip the likelihood has one maximum, as it is concave in the temperature's inverse. If every view is
    right it has none, since the lower the temperature, the better; the result is then 1.

    Args:
      outputs: probabilities of every view by the network.
      clip_of_view: index of the clip that each view shows.
      labels: true class of every clip.
    """
    if (outputs.argmax(axis=1) == labels[clip_of_view]).all():
        logging.warning("All validation clips are right, so no temperature is the best; it stays 1")
        return 1.0

    def loss(log_temperature: float) -> float:
        probabilities = average_views(clip_of_view, tempered(outputs, np.exp(log_temperature)), len(labels))
        return negative_log_likelihood(probabilities, labels)

    found = minimize_scalar(loss, bounds=np.log([_LOWEST, _HIGHEST]), method="bounded", options={"xatol": 1e-7})
    # The means over several views can have more than one minimum.
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def choose_threshold(scores: Float[np.ndarray, "clip"], positive: Bool[np.ndarray, "clip"]) -> tuple[float, float]:
    """Chooses the threshold that gives the highest balanced accuracy, and returns it with that.

    The balanced accuracy, the mean of both classes' recalls, does not depend on how frequent the classes are, which is
    hardly ever the same in a dataset and before a camera. All thresholds between two neighboring scores do the same;
    the result is the middle of the best such interval, of several the widest.

    Args:
      scores: probability of the positive class for every clip.
      positive: whether a clip is of it; some are, and some are not.
    """
    values = np.unique(scores)
    lowest_taken = np.append(values, np.inf)
    recall = (scores[positive] >= lowest_taken[:, None]).mean(axis=1)
    specificity = (scores[~positive] < lowest_taken[:, None]).mean(axis=1)
    balanced = (recall + specificity) / 2
    ends = np.concatenate([[0.0], values, [1.0]])
    widths, middles = np.diff(ends), (ends[1:] + ends[:-1]) / 2
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    chosen = best[np.argmax(widths[best])]
    return float(middles[chosen]), float(balanced[chosen])
