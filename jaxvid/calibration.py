"""What is chosen on the validation clips after training: a temperature of the probabilities, and a decision threshold.

The order: the network gives the probabilities of a view of a clip (means over its crops), the temperature changes them,
their means over the views are the probabilities of the clip, and the threshold decides its class. So the temperature is
part of the network wherever that runs, on single windows too.

Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from jaxvid.files import replacing
from jaxvid.types import ConfigDict

FILE_NAME = "calibration.json"
# Incremented when this code can no longer read the file.
FORMAT = 1
# Values of `config.eval.calibration` and `config.eval.threshold`.
CALIBRATIONS = ("none", "temperature")
THRESHOLDS = ("none", "validation")
# A probability that is 0 in float32 has no logarithm; this is the smallest above.
SMALLEST = float(np.finfo(np.float32).tiny)


class Threshold(NamedTuple):
    """The probability of one of two classes from which on a clip is of that class.

    Attributes:
      class_name: the class.
      probability: after calibration.
    """

    class_name: str
    probability: float

    def of(self, class_name: str) -> float:
        """Returns the probability from which on the threshold decides for a class, be it the other one."""
        return self.probability if class_name == self.class_name else 1 - self.probability

    def decide(self, probabilities: Float[np.ndarray, "clip 2"], class_names: list[str]) -> Int[np.ndarray, "clip"]:
        """Returns the index of the class of every clip."""
        label = class_names.index(self.class_name)
        return np.where(probabilities[:, label] >= self.probability, label, 1 - label)


@dataclasses.dataclass(frozen=True)
class FittedOn:
    """The validation clips that a calibration comes from.

    Attributes:
      dataset: name with size; of joined datasets all names.
      split: name.
      num_clips: number of clips.
      num_sources: number of their source videos.
      loss_before: mean negative log-likelihood of the clips without the temperature, in nats.
      loss_after: the same with it.
      balanced_accuracy: that the threshold reaches on these clips; None if none was chosen.
    """

    dataset: str
    split: str
    num_clips: int
    num_sources: int
    loss_before: float
    loss_after: float
    balanced_accuracy: float | None

    def __str__(self) -> str:
        return f"{self.num_clips} clips of {self.num_sources} sources ({self.dataset}, split {self.split})"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What follows the network; by default nothing does.

    Attributes:
      temperature: by which the log-probabilities are divided; None if it was not asked for.
      threshold: that decides between two classes; None for the most probable class.
      fitted_on: the clips that chose both; None if nothing was chosen.
    """

    temperature: float | None = None
    threshold: Threshold | None = None
    fitted_on: FittedOn | None = None

    def apply(self, probabilities: Float[np.ndarray, "view classes"]) -> Float[np.ndarray, "view classes"]:
        """Returns the probabilities of views after the temperature."""
        return probabilities if self.temperature is None else tempered(probabilities, self.temperature)

    def described(self) -> dict[str, str]:
        """Returns what it does and where it comes from, in words, by name."""
        details = {}
        fitted = self.fitted_on
        if self.temperature is not None and fitted is not None:
            losses = f"the loss there was {fitted.loss_before:.3f} before and {fitted.loss_after:.3f} after"
            details["Calibration"] = f"temperature {self.temperature:.3f}, fitted on {fitted}; {losses}"
        if self.threshold is not None and fitted is not None:
            name, probability = self.threshold
            details["Threshold"] = (
                f"{name} from {100 * probability:.1f} % on, chosen on {fitted} for the highest balanced accuracy "
                f"({100 * (fitted.balanced_accuracy or 0):.1f} % there)"
            )
        return details


NOT_CALIBRATED = Calibration()


def tempered(
    probabilities: Float[np.ndarray, "*axes classes"], temperature: float
) -> Float[np.ndarray, "*axes classes"]:
    """Returns the softmax of the log-probabilities divided by a temperature, which is that of the logits divided by it.

    Above 1 the probabilities come closer to one another, below 1 they move apart; their order stays.
    """
    logarithms = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    return np.asarray(softmax(logarithms / temperature, axis=-1))


def is_asked_for(config: ConfigDict) -> bool:
    """Returns whether a run has a temperature or a threshold."""
    return config.eval.calibration != "none" or config.eval.threshold != "none"


def read_calibration(workdir: Path, step: int, config: ConfigDict) -> Calibration:
    """Reads what belongs to the checkpoint at `step` of the run in `workdir`; nothing if its config asks for nothing.

    Raises:
      ValueError: if it is missing, cannot be read, or was fitted with other settings; it says which command fits it.
    """
    if not is_asked_for(config):
        return NOT_CALIBRATED
    path = workdir / FILE_NAME
    remedy = f"fit it on the validation clips: python -m jaxvid.evaluate --workdir={workdir} --checkpoint={step}"
    entries = _entries(path)
    if entries is None:
        raise ValueError(f"{path} cannot be read, and config.eval asks for a calibration; {remedy}")
    if str(step) not in entries:
        raise ValueError(
            f"{path} has no calibration of step {step}; it has those of steps: {', '.join(entries) or 'none'}; {remedy}"
        )
    try:
        return _parsed(entries[str(step)], config)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}, step {step}, does not fit the run: {error}; {remedy}") from error


def _entries(path: Path) -> dict[str, Any] | None:
    """Returns the content of the file by step; None if it is missing or is not of this format."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return dict(saved["checkpoints"]) if saved["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _settings(config: ConfigDict) -> dict[str, str]:
    return {key: config.eval[key] for key in ("calibration", "threshold")}


def _parsed(entry: dict[str, Any], config: ConfigDict) -> Calibration:
    if entry["settings"] != _settings(config):
        raise ValueError(f"it was fitted with config.eval {entry['settings']}, and the run has {_settings(config)}")
    temperature = entry["temperature"]
    threshold = None if entry["threshold"] is None else Threshold(**entry["threshold"])
    if temperature is not None and not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature}; allowed: above 0")
    if threshold is not None and not 0 <= threshold.probability <= 1:
        raise ValueError(f"threshold is {threshold.probability}; allowed: 0 to 1")
    if threshold is not None and threshold.class_name not in config.dataset.class_names:
        names = ", ".join(config.dataset.class_names)
        raise ValueError(f"the threshold's class is {threshold.class_name!r}; allowed: {names}")
    return Calibration(temperature, threshold, FittedOn(**entry["fitted_on"]))


def as_json(calibration: Calibration) -> dict[str, Any]:
    """Returns a calibration ready for JSON, named as its attributes."""
    entry = dataclasses.asdict(calibration)
    return entry | {"threshold": calibration.threshold and calibration.threshold._asdict()}


def from_json(entry: Mapping[str, Any]) -> Calibration:
    """Returns the calibration that `as_json` made an entry of."""
    threshold = None if entry["threshold"] is None else Threshold(**entry["threshold"])
    fitted_on = None if entry["fitted_on"] is None else FittedOn(**entry["fitted_on"])
    return Calibration(entry["temperature"], threshold, fitted_on)


def write_calibration(workdir: Path, step: int, config: ConfigDict, calibration: Calibration) -> None:
    """Adds the calibration of the checkpoint at `step` to the file in `workdir`; those of other steps stay."""
    path = workdir / FILE_NAME
    entries = (_entries(path) or {}) | {str(step): {"settings": _settings(config), **as_json(calibration)}}
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps({"format": FORMAT, "checkpoints": entries}, indent=2) + "\n", encoding="utf-8")


def forget_calibrations(workdir: Path) -> None:
    """Removes the file: a new run has the same steps, and other checkpoints."""
    (workdir / FILE_NAME).unlink(missing_ok=True)
