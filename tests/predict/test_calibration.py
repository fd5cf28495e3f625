import json

import numpy as np
import pytest

import jaxvid
from jaxvid.calibration import Calibration, FittedOn, Threshold, write_calibration
from jaxvid.config import load_config
from tests.predict.made_videos import FIGHT


@pytest.fixture
def calibrated(workdir, tmp_path):
    """The run, calibrated with a temperature of a half, which squares probabilities, and a threshold of 30 %."""
    saved = json.loads((workdir / "config.json").read_text())
    saved["config"]["eval"].update(calibration="temperature", threshold="validation")
    (tmp_path / "config.json").write_text(json.dumps(saved))
    (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
    fitted_on = FittedOn("synthetic_fight/tiny/1.0.0", "val", 49, 6, 0.7, 0.6, 0.81)
    write_calibration(tmp_path, 0, load_config(tmp_path), Calibration(0.5, Threshold("fight", 0.3), fitted_on))
    return tmp_path


def squared(probabilities):
    squares = probabilities**2
    return squares / squares.sum(axis=1, keepdims=True)


def test_clips_and_timelines_have_calibrated_probabilities(workdir, calibrated):
    frames = np.stack([np.full((32, 32, 3), gray, np.uint8) for gray in FIGHT[:24]])
    plain, predictor = jaxvid.load(workdir), jaxvid.load(calibrated)
    clips = frames[:8].reshape(2, 4, 32, 32, 3)
    np.testing.assert_allclose(predictor.classify(clips), squared(plain.classify(clips)), atol=1e-6)
    # Windows share the features of their frames: another program than that of clips.
    expected = squared(plain.predict_frames(frames, 10.0).probabilities)
    np.testing.assert_allclose(predictor.predict_frames(frames, 10.0).probabilities, expected, atol=1e-6)


def test_a_run_without_the_calibration_that_it_asks_for_is_refused_with_the_command(calibrated):
    (calibrated / "calibration.json").unlink()
    with pytest.raises(ValueError, match=r"python -m jaxvid.evaluate --workdir=.* --checkpoint=0"):
        jaxvid.load(calibrated)
