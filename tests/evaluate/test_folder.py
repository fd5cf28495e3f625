import json

import numpy as np
import pytest

from jaxvid.baselines.text import read_baseline_predictions
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.evaluate.folder import label_videos
from jaxvid.metrics.predictions import read_csv
from tests.commands import run_command


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def labels_and_sources(root, class_names, class_map=None):
    return {video.filename: (video.label, video.source) for video in label_videos(root, class_names, class_map)}


def test_folders_name_classes_and_sources(tmp_path):
    touch(tmp_path, "Non-Fight/cam1/a.mp4", "FIGHT/cam1/x/b.mp4", "FIGHT/c.mp4")
    assert labels_and_sources(tmp_path, ["fight", "no_idea", "nonFight"]) == {
        "Non-Fight/cam1/a.mp4": ("nonFight", "cam1"),
        "FIGHT/cam1/x/b.mp4": ("fight", "cam1"),
        "FIGHT/c.mp4": ("fight", "FIGHT/c"),
    }


def test_a_class_map_names_the_counterparts_of_folders(tmp_path):
    touch(tmp_path, "brawl/a.mp4", "fight/b.mp4", "calm/c.mp4")
    labels = labels_and_sources(tmp_path, ["no_fight", "fight"], {"brawl": "fight", "calm": "no_fight"})
    assert [label for label, _ in labels.values()] == ["fight", "no_fight", "fight"]


def test_folders_that_are_no_classes_are_refused_with_both_lists_and_the_flag(tmp_path):
    touch(tmp_path, "brawl/a.mp4", "fight/b.mp4")
    with pytest.raises(
        ValueError,
        match="has the classes brawl, fight; the model has no_fight, fight: brawl is not among them.*--class_map=",
    ):
        label_videos(tmp_path, ["no_fight", "fight"])
    touch(tmp_path, "loose.mp4")
    with pytest.raises(ValueError, match=r"loose.mp4 lies in no folder of a class; allowed: <class>/loose.mp4"):
        label_videos(tmp_path, ["no_fight", "fight"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no videos; expected are folders no_fight, fight"):
        label_videos(tmp_path / "empty", ["no_fight", "fight"])


@pytest.mark.slow
def test_a_folder_of_videos_gives_the_metrics_of_the_dataset(changed_run, write_clips, tmp_path):
    videos = tmp_path / "videos"
    split = write_clips(videos, lambda position, label: f"{['No_Fight', 'FIGHT'][label]}/{position}.avi")
    (videos / "FIGHT" / "broken.mp4").write_text("no video")
    run = changed_run(eval={"calibration": "temperature"})
    evaluate(run, output=tmp_path / "of_dataset")
    metrics = evaluate(run, videos=videos, output=tmp_path / "of_videos")
    assert metrics["calibration"]["before"]["loss"] != metrics["loss"]
    of_dataset = read_csv(tmp_path / "of_dataset" / "predictions.csv")
    of_videos = read_csv(tmp_path / "of_videos" / "predictions.csv")
    positions = [int(name.split("/")[1].removesuffix(".avi")) for name in of_videos.clips]
    np.testing.assert_array_equal(of_videos.labels, of_dataset.labels[positions])
    # The clips went through JPEG and Motion JPEG once more.
    np.testing.assert_allclose(of_videos.probabilities, of_dataset.probabilities[positions], atol=0.02)
    details = json.loads((tmp_path / "of_videos" / "metrics.json").read_text())["evaluated"]
    assert details["Left out"].startswith("FIGHT/broken.mp4: ")
    assert len(of_videos.clips) == len(split) == 8


@pytest.mark.slow
def test_twelve_clips_of_four_source_folders_are_four_sources(run, write_clips, tmp_path, capsys):
    """Sources are of both classes: `cam0` has clips of no_fight and of fight."""
    videos, output = tmp_path / "videos", tmp_path / "output"

    def name(position, label):
        return f"{['noFight', 'Fight'][label]}/cam{position % 4}/{position}.avi" if position < 12 else None

    write_clips(videos, name, split="train")
    flags = [f"--workdir={run}", f"--videos={videos}", f"--output={output}"]
    run_command("jaxvid.evaluate", *flags)
    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["num_clips"], metrics["num_sources"]) == (12, 4)
    assert "12 clips of 4 sources" in capsys.readouterr().out

    names = read_csv(output / "predictions.csv").clips
    rows = [f"{name},{'day' if 'cam0' in name else 'night'}" for name in names]
    (tmp_path / "sources.csv").write_text("\n".join(["video,source", *rows]))
    run_command("jaxvid.evaluate", *flags, f"--sources={tmp_path / 'sources.csv'}")
    assert json.loads((output / "metrics.json").read_text())["num_sources"] == 2


def test_identical_videos_are_one_source_and_those_of_the_training_split_are_named(run, write_clips, tmp_path):
    """Three files, two of them copies; one has the name of a training clip."""
    videos = tmp_path / "videos"
    write_clips(videos, lambda position, label: f"{['no_fight', 'fight'][label]}/clip.avi" if position < 2 else None)
    first, *_ = sorted(videos.rglob("*.avi"))
    (first.parent / "scene001.avi").write_bytes(first.read_bytes())
    metrics = evaluate(run, videos=videos, output=tmp_path / "output")
    num_files = len(list(videos.rglob("*.avi")))
    assert (metrics["num_clips"], metrics["num_sources"]) == (num_files, num_files - 1)
    details = json.loads((tmp_path / "output" / "metrics.json").read_text())["evaluated"]
    assert details["Caution"].startswith("1 video has the file name or the source of a training clip, such as ")
    # The files of the folder are known as those of the training clips are.
    of_file = metrics["baselines"]["systems"]["file"]
    assert {"length", "frame height", "bytes a frame", "sound or not"} <= set(of_file["features"])
    assert not any(note.startswith("Not known") for note in metrics["baselines"]["notes"])
    predicted = read_baseline_predictions(tmp_path / "output" / "baseline_predictions.csv")
    assert set(predicted["pixel_change"]) == {path.relative_to(videos).as_posix() for path in videos.rglob("*.avi")}


def test_a_folder_in_which_nothing_decodes_is_refused(run, tmp_path):
    for name in ("fight/a.mp4", "no_fight/b.mp4"):
        touch(tmp_path, name)
        (tmp_path / name).write_text("no video")
    with pytest.raises(ValueError, match=r"none of the 2 videos in .* decodes; .*a.mp4: "):
        evaluate(run, videos=tmp_path, output=tmp_path / "output")
    assert not (tmp_path / "output").exists()
