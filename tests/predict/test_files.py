import json
import re
from pathlib import Path
from unittest.mock import ANY

import av
import cv2
import numpy as np
import pytest

from jaxvid.predict.events import Timeline
from jaxvid.predict.files import PredictOptions, VideoResult, named_videos, predict_videos, summary
from jaxvid.video.damage import Damage
from jaxvid.video.workers import InvalidVideoError
from tests.predict.made_videos import cut, flip_bits, red_predictor, write_recording, write_red


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos" / "deeper").mkdir(parents=True)
    return tmp_path / "videos"


@pytest.fixture
def video(folder):
    """A video of four seconds calm, two of a fight, two calm."""
    return write_red(folder / "a.avi", [0.1] * 8 + [0.9] * 4 + [0.1] * 4)


def test_folders_are_searched_and_a_broken_file_does_not_stop_the_others(video, folder, tmp_path):
    write_red(folder / "deeper" / "a.avi", [0.2] * 3)
    (folder / "broken.mp4").write_bytes(b"no video")
    videos = named_videos([folder, video])
    results = predict_videos(red_predictor(), videos, tmp_path / "out", PredictOptions())
    assert [result.path.relative_to(folder) for result in results] == [
        Path("a.avi"),
        Path("broken.mp4"),
        Path("deeper/a.avi"),
    ]
    assert [result.timeline is None for result in results] == [False, True, False]
    (event,) = json.loads((tmp_path / "out" / "videos" / "a.avi" / "events.json").read_text())
    # Windows that see more than about half a second of the fight are above the threshold.
    assert (event["onset"], event["offset"]) == (pytest.approx(4, abs=0.4), pytest.approx(6, abs=0.4))
    assert 4 < event["peak"] < 6
    for written in ("timeline.csv", "events.json", "timeline.png"):
        assert (tmp_path / "out" / "videos" / "deeper" / "a.avi" / written).stat().st_size
    assert not (tmp_path / "out" / "videos" / "broken.mp4").exists()
    assert cv2.imread(str(tmp_path / "out" / "videos" / "a.avi" / "timeline.png")) is not None
    text = summary(results)
    assert "NOT READ: it cannot be opened" in text
    assert re.search(r"a\.avi +8\.0 +calm (69|70|71) % +1 +(89|90|91) % at [45]\.\d s", text)


def test_videos_of_one_name_are_numbered_and_missing_ones_are_named(folder, tmp_path):
    first, second = write_red(folder / "a.avi", [0.1]), write_red(folder / "deeper" / "a.avi", [0.1])
    assert [str(path) for path in named_videos([first, second]).values()] == ["a.avi", "a.avi-2"]
    with pytest.raises(ValueError, match="nowhere.mp4 does not exist"):
        named_videos([folder / "nowhere.mp4"])
    with pytest.raises(ValueError, match="no videos given; allowed: paths of videos and of folders"):
        named_videos([])
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none holds no video"):
        named_videos([tmp_path / "none"])


def test_a_file_named_twice_is_predicted_once(tmp_path):
    (tmp_path / "v.mp4").touch()
    for arguments in ([tmp_path, tmp_path / "v.mp4"], [tmp_path / "v.mp4", tmp_path]):
        assert list(named_videos(arguments)) == [tmp_path / "v.mp4"]


# 1.5 s of red at 0.1, the rest at 0.9.
LEVELS = [0.1] * 3 + [0.9] * 9


def predict_recording(path, **options):
    """The result of a video of a predictor with sound, and what `problems.json` lists."""
    predictor = red_predictor()
    predictor.config.audio.sample_rate = 8000
    [result] = predict_videos(predictor, {path: Path("v")}, path.parent / "out", PredictOptions(**options))
    return result, json.loads((path.parent / "out" / "v" / "problems.json").read_text())


@pytest.mark.parametrize("extension", ["mp4", "avi"])
def test_a_whole_video_has_no_problems(tmp_path, extension):
    result, problems = predict_recording(write_recording(tmp_path / f"whole.{extension}", LEVELS))
    assert problems == []
    assert result.timeline.ends[-1] == pytest.approx(6.0, abs=0.01)
    assert "Problems" not in summary([result])


@pytest.mark.parametrize(("extension", "reason"), [("mp4", "frames decode"), ("avi", "bytes")])
def test_the_first_half_of_a_video_that_breaks_off_is_predicted(tmp_path, extension, reason):
    path = cut(write_recording(tmp_path / f"cut.{extension}", LEVELS))
    result, problems = predict_recording(path)
    end = result.timeline.ends[-1]
    assert 2.2 < end < 3.8
    fight = result.timeline.of_class("fight")
    assert (fight[0], fight[-1]) == (pytest.approx(0.1, abs=0.05), pytest.approx(0.9, abs=0.05))
    (event,) = json.loads((result.output / "events.json").read_text())
    assert (event["onset"], event["offset"]) == (pytest.approx(1.5, abs=0.4), end)
    (broken,) = (problem for problem in problems if "it is cut short" in problem["reason"])
    assert reason in broken["reason"]
    # The last frame that was read lasts a tenth of a second.
    assert broken["begin"] == broken["end"] == pytest.approx(end - 0.1, abs=0.01)
    text = summary([result])
    assert re.search(rf"cut.{extension} +{end:.1f} .* {len(problems)} +/", text)
    assert re.search(rf"cut.{extension}: .*{broken['begin']:.1f} s: .*it is cut short", text.splitlines()[-1])


def test_a_video_with_flipped_bits_is_predicted_to_its_end(tmp_path):
    result, problems = predict_recording(flip_bits(write_recording(tmp_path / "flipped.mp4", LEVELS), 0.5, 0.8))
    assert result.timeline.ends[-1] == pytest.approx(6.0, abs=0.01)
    concealed = [problem for problem in problems if problem["reason"] == "damaged parts were concealed"]
    # The frames lie where their bytes do.
    assert concealed
    assert all(2.0 < problem["begin"] <= problem["end"] < 5.8 for problem in concealed)
    assert problems == sorted(problems, key=lambda problem: problem["begin"])


def test_sound_that_breaks_off_leaves_the_timeline_of_the_frames(tmp_path):
    path = write_recording(tmp_path / "v.mp4", LEVELS)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(audio=0) if packet.size][20]
    content = bytearray(path.read_bytes())
    content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    result, problems = predict_recording(path)
    assert result.timeline.ends[-1] == pytest.approx(6.0, abs=0.01)
    assert result.timeline.of_class("fight")[-1] == pytest.approx(0.9, abs=0.05)
    # Packets of 1024 samples, 8000 a second.
    (problem,) = problems
    assert problem == {"begin": pytest.approx(20 * 0.128, abs=0.3), "end": problem["begin"], "reason": ANY}
    assert "sound breaks off" in problem["reason"]


def test_many_problems_are_counted_in_the_summary(tmp_path):
    problems = Damage()
    problems.add(15.0, 15.0, "its sound breaks off")
    for second in (0.0, 10.0, 20.0, 30.0, 40.0, 50.0):
        problems.add(second, second, "damaged parts were concealed")
    result = VideoResult(tmp_path / "v.mp4", tmp_path, timeline(), [], problems=problems)
    last = summary([result]).splitlines()[-1]
    assert last.endswith(
        "v.mp4: 0.0 s: damaged parts were concealed; 10.0 s: damaged parts were concealed; 15.0 s: its sound breaks "
        "off; 20.0 s: damaged parts were concealed; 30.0 s: damaged parts were concealed; 2 more"
    )


def timeline():
    return Timeline(np.zeros(1), np.ones(1), np.asarray([[0.2, 0.8]]), ["calm", "fight"])


def test_an_annotated_copy_that_cannot_be_written_is_a_problem_and_not_the_end(tmp_path, monkeypatch):
    def refuse(path, *_):
        raise InvalidVideoError(path, "it cannot be annotated: no encoder")

    monkeypatch.setattr("jaxvid.predict.outputs.annotate", refuse)
    result, problems = predict_recording(write_recording(tmp_path / "v.mp4", LEVELS[:4]), annotate=True)
    assert result.timeline.ends[-1] == pytest.approx(2.0, abs=0.01)
    assert [problem["reason"] for problem in problems] == ["it cannot be annotated: no encoder"]
