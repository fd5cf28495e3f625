import json

import pytest

from tests.commands import run_command
from tests.predict.made_videos import cut, red_predictor, write_recording, write_red


@pytest.fixture(autouse=True)
def compiled_programs_of_the_tests(monkeypatch):
    """Tests leave the user's cache of compiled programs alone."""
    monkeypatch.setattr("jaxvid.commands.keep_compiled_programs", lambda: None)


@pytest.mark.slow
def test_a_trained_run_predicts_a_video(workdir, tmp_path, capsys):
    video = write_red(tmp_path / "a.avi", [0.1] * 2 + [0.9] * 2)
    arguments = [f"--workdir={workdir}", f"--output={tmp_path / 'out'}", "--positive_class=No-Fight"]
    options = ["--on_threshold=0", "--off_threshold=0", "--stride_seconds=0.5", "--annotate", "--explain"]
    assert run_command("jaxvid.predict", *arguments, *options, video) == 0
    names = {"annotated.mp4", "events.json", "explanation.png", "index.html", "problems.json", "timeline.csv"}
    assert {path.name for path in (tmp_path / "out" / "a.avi").iterdir()} == names | {"timeline.png"}
    # Any probability is above thresholds of 0: one event that fills the video.
    (event,) = json.loads((tmp_path / "out" / "a.avi" / "events.json").read_text())
    assert (event["class_name"], event["onset"], event["offset"]) == ("no_fight", 0.0, pytest.approx(2.0, abs=0.01))
    # Windows of 1 s that begin at 0, 0.5 and 1 s, below the header.
    assert len((tmp_path / "out" / "a.avi" / "timeline.csv").read_text().splitlines()) == 4
    assert "Positive class: no_fight (chosen by positive_class)" in capsys.readouterr().out


def test_what_does_not_fit_the_run_is_refused(workdir, tmp_path):
    video = write_red(tmp_path / "a.avi", [0.1])
    for argument, message in (
        ("--positive_class=brawl", "the positive class is 'brawl'; allowed: no_fight, fight"),
        ("--event_classes=brawl", "event class 'brawl' is no class of the model; allowed: no_fight, fight"),
        ("--on_threshold=2", "on_threshold is 2 and off_threshold 0.4; allowed"),
        ("--stride_seconds=-1", "stride_seconds is -1; allowed: above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run_command("jaxvid.predict", f"--workdir={workdir}", f"--output={tmp_path / 'out'}", argument, video)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="is no workdir of a training run"):
        run_command("jaxvid.predict", f"--workdir={tmp_path}", video)


def test_the_exit_status_is_1_only_if_a_file_was_not_read_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("jaxvid.predict.predictor.load", lambda *_, positive_class: red_predictor())
    (tmp_path / "videos").mkdir()
    arguments = [f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}", tmp_path / "videos"]
    write_red(tmp_path / "videos" / "whole.avi", [0.1] * 4)
    assert run_command("jaxvid.predict", *arguments) == 0
    printed = capsys.readouterr().out
    assert "Positive class: fight (the other name negates it)" in printed
    assert f"Page: {tmp_path / 'out' / 'index.html'}" in printed
    cut(write_recording(tmp_path / "videos" / "cut.mp4", [0.1] * 12))
    assert run_command("jaxvid.predict", *arguments) == 0
    assert "it is cut short" in capsys.readouterr().out
    (tmp_path / "videos" / "broken.mp4").touch()
    assert run_command("jaxvid.predict", *arguments) == 1
    assert "NOT READ" in capsys.readouterr().out


def test_the_command_refuses_a_camera_beside_videos(tmp_path):
    with pytest.raises(ValueError, match="--camera and videos exclude each other"):
        run_command("jaxvid.predict", f"--workdir={tmp_path}", "--camera=0", "video.mp4")
