"""The metrics of baselines beside those of a network, and what they mean in words."""

from collections.abc import Mapping
from typing import TypedDict

from jaxvid.baselines.fit import BASELINES, FittedBaseline
from jaxvid.metrics.bootstrap import resampled_means
from jaxvid.metrics.classification import Estimate, classification_metrics, estimate
from jaxvid.metrics.predictions import Predictions
from jaxvid.metrics.text import format_percent, format_points

# The area under the ROC curve of a guess.
_CHANCE_AUC = 0.5


class BaselineMetrics(TypedDict):
    """The metrics of a baseline.

    Attributes:
      label: name for people.
      features: names of the features that it was fitted on.
      accuracy: of the baseline.
      roc_auc: of the baseline.
      difference: accuracy of the network less that of the baseline; the interval is of the difference on the same
        resamples of the sources. None without a network.
    """

    label: str
    features: list[str]
    accuracy: Estimate
    roc_auc: Estimate
    difference: Estimate | None


class ComparedBaselines(TypedDict):
    """What metrics.json has under "baselines".

    Attributes:
      trained_on: what the baselines were fitted on; "" if that is not on this machine.
      systems: the metrics of every baseline, by its name in `BASELINES`.
      notes: what they mean, in sentences.
    """

    trained_on: str
    systems: dict[str, BaselineMetrics]
    notes: list[str]


def compare_with_baselines(
    network: Predictions | None,
    fitted: Mapping[str, FittedBaseline],
    trained_on: str,
    *,
    positive_class: str | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> ComparedBaselines:
    """Computes the metrics of baselines, and how far a network is above them.

    Args:
      network: its predictions; None to have the metrics of the baselines alone.
      fitted: all baselines, with their predictions of the same videos.
      trained_on: what the baselines were fitted on, in words.
      positive_class: as of `metrics.classification.classification_metrics`, like the next two.
      num_resamples: number of bootstrap resamples.
      seed: of the bootstrap.
    """
    systems: dict[str, BaselineMetrics] = {}
    for name, baseline in fitted.items():
        metrics = classification_metrics(
            baseline.predictions, positive_class=positive_class, num_resamples=num_resamples, seed=seed
        )
        systems[name] = {
            "label": BASELINES[name].label,
            "features": baseline.features,
            "accuracy": metrics["accuracy"],
            "roc_auc": metrics["roc_auc"],
            "difference": None
            if network is None
            else accuracy_difference(network, baseline.predictions, num_resamples, seed),
        }
    above_guess = accuracy_difference(
        fitted["file"].predictions, fitted["commonest_class"].predictions, num_resamples, seed
    )
    notes = [
        *_notes_on_files(systems["file"], above_guess),
        *_notes_on_unknown_features(fitted["file"]),
        *_notes_on_pixel_change(systems["pixel_change"]),
    ]
    return {"trained_on": trained_on, "systems": systems, "notes": notes}


def without_training_clips(dataset: str) -> ComparedBaselines:
    """Returns what stands for the baselines where the training clips, of `dataset`, are not on this machine."""
    note = f"There are no baselines: the training clips, of {dataset}, are not prepared on this machine."
    return {"trained_on": "", "systems": {}, "notes": [note]}


def accuracy_difference(first: Predictions, second: Predictions, num_resamples: int, seed: int = 0) -> Estimate:
    """Returns the accuracy of one system less that of another on the same clips, with its interval over sources."""
    gains = (first.predicted == first.labels).astype(int) - (second.predicted == second.labels).astype(int)
    return estimate(float(gains.mean()), resampled_means(gains, first.sources, num_resamples, seed))


def is_clearly_above(difference: Estimate) -> bool:
    """Returns whether the whole interval of a difference is above zero."""
    return difference["low"] is not None and difference["low"] > 0


def scenes_not_motion(difference: str) -> str:
    """Returns what to say of a network that is not clearly above the baseline of pixel change, by that difference."""
    return (
        f"not clearly above the baseline of pixel change (difference in accuracy: {difference}): it may have learned "
        "scenes, not motion."
    )


def _notes_on_pixel_change(pixel_change: BaselineMetrics) -> list[str]:
    difference = pixel_change["difference"]
    if difference is None or is_clearly_above(difference):
        return []
    return [f"The network is {scenes_not_motion(format_points(difference))}"]


def _notes_on_files(file: BaselineMetrics, above_guess: Estimate) -> list[str]:
    area = file["roc_auc"]
    if not is_clearly_above(above_guess) and (area["low"] is None or area["low"] <= _CHANCE_AUC):
        return []
    return [
        f"What is known of the files alone ({', '.join(file['features'])}) tells the classes apart: accuracy "
        f"{format_percent(file['accuracy'])}, ROC AUC {format_percent(area)}. What that is above chance is a leak: a "
        "network can learn it instead of what the videos show."
    ]


def _notes_on_unknown_features(file: FittedBaseline) -> list[str]:
    notes = []
    if file.unknown_in_training:
        notes.append(
            f"Not known of the training files: {', '.join(file.unknown_in_training)}. The baseline of the file alone "
            "does without; a dataset that is prepared again has them."
        )
    if file.unknown:
        notes.append(
            f"Not known of the evaluated files: {', '.join(file.unknown)}. The baseline of the file alone takes the "
            "mean of the training files for them."
        )
    return notes
