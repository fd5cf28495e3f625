"""What the rows of prediction, building and start hold; no test measures speed."""

import numpy as np
import pytest

from jaxvid.benchmark.benchmark import Plan, benchmark
from jaxvid.benchmark.prediction import _ratios
from jaxvid.benchmark.start import start_times
from jaxvid.benchmark.timing import Times
from jaxvid.benchmark.videos import choose_videos
from jaxvid.data.dataset import open_split, prepare
from jaxvid.train.setup import set_up
from jaxvid.video.streams import open_video, video_seconds


def test_videos_are_made_of_the_clips_of_a_split(config, tmp_path):
    split = open_split(prepare(config.dataset), "val")
    long, folder = choose_videos(None, None, split, tmp_path)
    counts = np.bincount(split.metadata.labels).tolist()
    assert [len(list((folder / name).iterdir())) for name in split.class_names] == counts
    with open_video(long) as container:
        # All clips in a row; they have one frame rate.
        expected = split.metadata.num_frames.sum() / split.metadata.fps[0]
        assert video_seconds(container) == pytest.approx(expected, abs=0.2)


def test_videos_that_are_given_must_exist(tmp_path, config):
    split = open_split(prepare(config.dataset), "val")
    with pytest.raises(ValueError, match="--video=.*nothing.mp4 does not exist"):
        choose_videos(tmp_path / "nothing.mp4", None, split, tmp_path)
    with pytest.raises(ValueError, match="--videos=.*nothing does not exist"):
        choose_videos(None, tmp_path / "nothing", split, tmp_path)
    with pytest.raises(ValueError, match="--videos=.* has no videos"):
        choose_videos(None, tmp_path, split, tmp_path)


def test_ratios_are_of_seconds_and_of_cpu_seconds():
    row = _ratios(
        [Times(6.0, 10.0), Times(8.0, 9.0), Times(5.0, 8.0)], [Times(3.0, 2.0), Times(2.0, 3.0), Times(5.0, 8.0)]
    )
    values = {"ratio": 2.0, "ratio_min": 1.0, "ratio_max": 4.0}
    assert row == values | {"cpu_ratio": 3.0, "cpu_ratio_min": 1.0, "cpu_ratio_max": 5.0}


@pytest.mark.slow
def test_prediction_and_building_are_measured(config, capsys):
    split = set_up(config).splits.val
    _, prediction, short, camera, build = benchmark(config, Plan(parts=("prediction", "build"), rounds=1))
    seconds = split.metadata.num_frames.sum() / split.metadata.fps[0]
    assert prediction["video_seconds"] == pytest.approx(seconds, abs=0.2)
    # By default a window begins a quarter of its length after the one before.
    assert prediction["overlap"] == 0.75
    assert prediction["cpu_ratio"] > 0
    assert short["what"] == "short_videos"
    assert short["num_videos"] == len(split)
    assert short["num_windows"] >= len(split)
    assert short["ratio"] == pytest.approx(short["windows_per_second"] / short["network_windows_per_second"])
    assert 0 < camera["latency_ms_median"] <= camera["latency_ms_99th"]
    assert (build["num_videos"], build["num_frames"]) == (len(split), split.metadata.num_frames.sum())
    assert capsys.readouterr().out == ""
    assert build["frames_per_cpu_second"] > 0
    assert build["frames_per_second"] == pytest.approx(build["num_frames"] / build["seconds"])


@pytest.mark.slow
def test_the_first_step_of_the_training_command_is_timed_twice(data_dir):
    arguments = [
        "--config=configs/shdn.py:dataset=synthetic_fight,arch=C4R1D2", "--config.dataset.name=synthetic_fight/tiny",
        f"--config.dataset.data_dir={data_dir}", "--config.clip.num_frames=4", "--config.train.batch_size=8",
    ]  # fmt: skip
    row = start_times(arguments)
    assert list(row) == ["what", "first_start_seconds", "second_start_seconds"]
    assert min(row["first_start_seconds"], row["second_start_seconds"]) > 0


@pytest.mark.slow
def test_a_training_command_that_fails_is_shown_with_its_last_lines():
    with pytest.raises(ValueError, match="(?s)ended before its first step.*nothing.py"):
        start_times(["--config=configs/nothing.py"])
