import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy.special import softmax

from jaxvid.calibration import (
    FILE_NAME,
    Calibration,
    FittedOn,
    Threshold,
    forget_calibrations,
    read_calibration,
    tempered,
    write_calibration,
)
from jaxvid.config import base_config
from jaxvid.models.clip_model import ClipModel
from jaxvid.steps import eval_step

CALIBRATION = Calibration(1.75, Threshold("fight", 0.4), FittedOn("set/64x64/1.0.0", "val", 49, 6, 0.7, 0.6, 0.81))


@pytest.fixture
def calibrated_config():
    config = base_config()
    config.eval.update(calibration="temperature", threshold="validation")
    config.dataset.class_names = ("no_fight", "fight")
    return config


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 2.5, 20.0])
def test_a_temperature_divides_the_logits_and_keeps_the_order_of_the_classes(temperature):
    logits = np.random.default_rng(0).normal(scale=5, size=(50, 7))
    result = tempered(softmax(logits, axis=1), temperature)
    np.testing.assert_allclose(result, softmax(logits / temperature, axis=1), rtol=1e-9)
    np.testing.assert_array_equal(np.argsort(result, axis=1), np.argsort(logits, axis=1))
    np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-12)


def test_a_temperature_by_hand():
    # Square roots of 0.9 and 0.1 are as 3 to 1.
    np.testing.assert_allclose(tempered(np.array([[0.9, 0.1]]), 2.0), [[0.75, 0.25]])
    # What is 0 in float32 counts as the smallest number above.
    assert tempered(np.array([1.0, 0.0], np.float32), 20.0)[1] == pytest.approx(
        np.exp(np.log(2.0**-126) / 20), rel=0.02
    )


class Constant(ClipModel):
    """A network whose logits are its parameters."""

    @nn.compact
    def __call__(self, clips, *, train):
        return self.param("logits", nn.initializers.zeros, (len(clips), self.num_classes))


def test_the_compiled_step_has_the_same_temperature():
    config = base_config()
    config.clip.update(height=8, width=8)
    logits = 4 * np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    frames = {"frames": jnp.zeros((20, 1, 8, 8, 3), jnp.uint8)}
    variables, model = {"params": {"logits": jnp.asarray(logits)}}, Constant(num_classes=3)
    plain = eval_step(variables, frames, model=model, config=config)
    result = eval_step(variables, frames, model=model, config=config, temperature=1.7)
    np.testing.assert_allclose(result, softmax(logits / 1.7, axis=1), atol=1e-6)
    np.testing.assert_allclose(result, tempered(np.asarray(plain), 1.7), atol=1e-6)


def test_a_threshold_is_of_either_class():
    threshold = Threshold("fight", 0.3)
    assert (threshold.of("fight"), threshold.of("calm")) == (0.3, 0.7)
    fight = np.array([0.1, 0.3, 0.4, 0.9])
    for names in (["calm", "fight"], ["fight", "calm"]):
        probabilities = np.stack([fight if name == "fight" else 1 - fight for name in names], axis=1)
        assert [names[i] for i in threshold.decide(probabilities, names)] == ["calm", "fight", "fight", "fight"]


def test_what_is_written_is_read_for_its_checkpoint(tmp_path, calibrated_config):
    write_calibration(tmp_path, 120, calibrated_config, CALIBRATION)
    write_calibration(tmp_path, 240, calibrated_config, Calibration(2.0, CALIBRATION.threshold, CALIBRATION.fitted_on))
    assert read_calibration(tmp_path, 120, calibrated_config) == CALIBRATION
    assert read_calibration(tmp_path, 240, calibrated_config).temperature == 2.0
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    with pytest.raises(ValueError, match=r"no calibration of step 77; it has those of steps: 120, 240; fit it .*=77$"):
        read_calibration(tmp_path, 77, calibrated_config)
    # A run that asks for nothing has nothing, whatever is in its workdir.
    assert read_calibration(tmp_path, 120, base_config()) == Calibration()
    forget_calibrations(tmp_path)
    with pytest.raises(ValueError, match=rf"cannot be read, .*: python -m jaxvid.evaluate --workdir={tmp_path}"):
        read_calibration(tmp_path, 120, calibrated_config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved, entry: saved.update(format=0), "cannot be read"),
        (lambda saved, entry: saved.pop("checkpoints"), "cannot be read"),
        (lambda saved, entry: entry.update(temperature=0), "temperature is 0; allowed: above 0"),
        (lambda saved, entry: entry.update(temperature="hot"), "step 120, does not fit the run"),
        (lambda saved, entry: entry["threshold"].update(probability=2), "threshold is 2; allowed: 0 to 1"),
        (lambda saved, entry: entry["threshold"].update(class_name="kiss"), "'kiss'; allowed: no_fight, fight"),
        (lambda saved, entry: entry.pop("fitted_on"), "does not fit the run: 'fitted_on'"),
        (lambda saved, entry: entry["settings"].update(threshold="none"), "it was fitted with config.eval"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, calibrated_config, change, message):
    write_calibration(tmp_path, 120, calibrated_config, CALIBRATION)
    saved = json.loads((tmp_path / FILE_NAME).read_text())
    change(saved, saved["checkpoints"]["120"])
    (tmp_path / FILE_NAME).write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=message) as error:
        read_calibration(tmp_path, 120, calibrated_config)
    assert str(tmp_path / FILE_NAME) in str(error.value)


def test_the_words_say_what_was_chosen_on_how_many_clips():
    assert CALIBRATION.described() == {
        "Calibration": "temperature 1.750, fitted on 49 clips of 6 sources (set/64x64/1.0.0, split val); "
        "the loss there was 0.700 before and 0.600 after",
        "Threshold": "fight from 40.0 % on, chosen on 49 clips of 6 sources (set/64x64/1.0.0, split val) for the "
        "highest balanced accuracy (81.0 % there)",
    }
    assert Calibration().described() == {}
