import dataclasses
import json
import re

import numpy as np
import pytest

import jaxvid
from jaxvid.calibration import Calibration, FittedOn, Threshold, write_calibration
from jaxvid.config import load_config
from jaxvid.predict.events import Thresholds
from tests.commands import run_command
from tests.predict.made_videos import FIGHT, red_predictor, write_red


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


def test_events_begin_and_end_around_the_threshold_unless_flags_say_otherwise(
    calibrated, tmp_path, monkeypatch, capsys
):
    predictor = dataclasses.replace(red_predictor(), calibration=jaxvid.load(calibrated).calibration)
    for classes, on, off in (["fight"], 0.44, 0.24), (["no_fight"], 0.76, 0.56), (["no_fight", "fight"], 0.6, 0.4):
        thresholds = predictor.event_thresholds(classes)
        assert (thresholds.on, thresholds.off) == (pytest.approx(on), pytest.approx(off))
    assert predictor.event_thresholds([]) == red_predictor().event_thresholds(["fight"]) == Thresholds()

    # Windows in the red stretch have 0.5, others 0.3.
    monkeypatch.setattr("jaxvid.predict.predictor.load", lambda *_, positive_class: predictor)
    monkeypatch.setattr("jaxvid.commands.keep_compiled_programs", lambda: None)
    video = write_red(tmp_path / "a.avi", [0.3] * 4 + [0.5] * 4)

    def events(*flags):
        run_command("jaxvid.predict", f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}", *flags, video)
        return json.loads((tmp_path / "out" / "a.avi" / "events.json").read_text())

    # It begins with the red stretch, and 0.3 would not have ended it.
    (event,) = events()
    assert 1.0 < event["onset"] < 2.5
    assert "Threshold: fight from 30.0 % on, chosen on 49 clips of 6 sources" in capsys.readouterr().out
    assert events("--on_threshold=0.6") == []
    (event,) = events("--on_threshold=0.25")
    assert event["onset"] == 0.0
    # 0.4 on average is a fight by the threshold.
    assert re.search(r"a\.avi +4\.0 +fight 40 %", capsys.readouterr().out)


def test_a_run_without_the_calibration_that_it_asks_for_is_refused_with_the_command(calibrated):
    (calibrated / "calibration.json").unlink()
    with pytest.raises(ValueError, match=r"python -m jaxvid.evaluate --workdir=.* --checkpoint=0"):
        jaxvid.load(calibrated)
