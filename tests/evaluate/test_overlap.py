import ml_collections
import pytest

from jaxvid.data.dataset import open_split, prepare
from jaxvid.data.joined import prepare_data
from jaxvid.evaluate import overlap
from jaxvid.evaluate.overlap import overlap_of_split, overlap_of_videos
from tests.tiny import tiny_config
from tfds_builders.synthetic_fight.synthetic_fight import SyntheticConfig, SyntheticFight
from tfds_builders.video_files import VideoFile


@pytest.fixture
def trained_on(data_dir):
    """The section `dataset` of a run on `synthetic_fight/tiny`: scenes 0 to 7 are its training split."""
    return tiny_config(data_dir).dataset


@pytest.fixture
def other_size(trained_on, monkeypatch, tmp_path):
    """The section `dataset` of the same scenes in 32x48, prepared elsewhere."""
    small = SyntheticConfig(name="small", height=32, width=48, num_scenes=(8, 4, 4), num_frames=(8, 12))
    monkeypatch.setattr(SyntheticFight, "BUILDER_CONFIGS", [*SyntheticFight.BUILDER_CONFIGS, small])
    return ml_collections.ConfigDict({**trained_on, "name": "synthetic_fight/small", "data_dir": str(tmp_path)})


def test_two_sizes_of_a_dataset_share_their_sources(trained_on, other_size):
    builder = prepare(other_size)
    details = overlap_of_split(open_split(builder, "train+test"), other_size, trained_on)
    assert details == {
        "Caution": "8 source videos have clips in the training split too, such as scene000: the metrics are too good"
    }
    assert overlap_of_split(open_split(builder, "val+test"), other_size, trained_on) == {}
    # Scenes 8 to 11 are the validation split.
    trained_on.train_split = "val"
    details = overlap_of_split(open_split(builder, "val+test"), other_size, trained_on)
    assert details["Caution"].startswith("4 source videos have clips in the training split too, such as scene008")


def test_a_video_under_another_source_is_known_by_its_file_name(trained_on):
    """Options of a dataset may group its videos otherwise: hockey_fight/128x128 and 128x128_random do."""
    evaluated = open_split(prepare(trained_on), "train")
    evaluated.metadata.sources[:] = [f"block{clip}" for clip in range(16)]
    details = overlap_of_split(evaluated, trained_on, trained_on)
    assert details["Caution"].startswith("16 source videos")


def test_other_datasets_are_not_compared(trained_on):
    evaluated = open_split(prepare(trained_on), "train")
    other = ml_collections.ConfigDict({**trained_on, "name": "hockey_fight/64x64"})
    assert overlap_of_split(evaluated, other, trained_on) == {}


def test_training_data_that_is_not_prepared_is_said_to_be_unknown(trained_on, tmp_path, monkeypatch):
    evaluated = open_split(prepare(trained_on), "test")
    elsewhere = ml_collections.ConfigDict({**trained_on, "data_dir": str(tmp_path)})
    unknown = {"Overlap with training": "not known: synthetic_fight/tiny is not prepared on this machine"}
    assert overlap_of_split(evaluated, elsewhere, elsewhere) == unknown
    assert overlap_of_videos([], elsewhere) == unknown
    older = ml_collections.ConfigDict({**trained_on, "version": "0.9.0"})
    assert overlap_of_split(evaluated, trained_on, older) == {
        "Overlap with training": "not known: synthetic_fight/tiny 0.9.0 is not prepared on this machine"
    }
    # Runs from before versions were recorded were trained on the first one.
    monkeypatch.setattr(overlap, "_FIRST_VERSION", "0.9.0")
    unrecorded = ml_collections.ConfigDict({**trained_on, "version": ""})
    assert "not known" in overlap_of_split(evaluated, trained_on, unrecorded)["Overlap with training"]
    monkeypatch.undo()
    # It is found in the directory that the evaluation is told.
    assert overlap_of_split(evaluated, trained_on, elsewhere) == {}


def test_clips_of_a_joined_dataset_are_known_when_it_is_tested_on_alone(trained_on, brawl):
    joined = ml_collections.ConfigDict({**trained_on, **brawl, "version": "1.0.0,1.0.0"})
    alone = ml_collections.ConfigDict({**trained_on, "name": "synthetic_brawl/tiny"})
    details = overlap_of_split(prepare_data(alone).open_split("train+val"), alone, joined)
    assert details["Caution"].startswith("4 source videos have clips in the training split too, such as scene000:")
    assert overlap_of_split(prepare_data(alone).open_split("val"), alone, joined) == {}
    # Both have scenes of the same names.
    assert overlap_of_split(prepare_data(joined).open_split("val"), joined, joined) == {}
    assert "12 source videos" in overlap_of_split(prepare_data(joined).open_split("train"), joined, joined)["Caution"]


def video(path, filename, label, source):
    return VideoFile(path / filename, filename, label, source)


@pytest.mark.parametrize(
    ("filename", "label", "source", "expected"),
    [
        ("Fight/scene000.mp4", "fight", "Fight/scene000", True),
        ("Fight/scene000.avi", "fight", "Fight/scene000", False),
        ("Fight/scene012.mp4", "fight", "Fight/scene012", False),
        ("Fight/scene007/cut.mp4", "fight", "scene007", True),
        ("Fight/scene008/cut.mp4", "fight", "scene008", False),
    ],
    ids=["same name", "another extension", "name of a test clip", "same source", "source of a validation clip"],
)
def test_videos_are_compared_with_training_clips_by_name(trained_on, tmp_path, filename, label, source, expected):
    videos = [
        video(tmp_path, "noFight/other.mp4", "no_fight", "noFight/other"),
        video(tmp_path, filename, label, source),
    ]
    details = overlap_of_videos(videos, trained_on)
    if not expected:
        assert details == {}
        return
    assert details["Caution"].startswith(
        f"1 video has the file name or the source of a training clip, such as {filename}"
    )


def test_splits_of_two_folders_are_compared_by_file_name(trained_on, monkeypatch):
    data = prepare_data(trained_on)
    evaluated = data.open_split("train")
    monkeypatch.setattr(overlap, "find_data", lambda dataset: data)
    mine, other = (
        ml_collections.ConfigDict({**trained_on, "name": "video_folder/64x64", "manual_dir": folder})
        for folder in ("/data/mine", "/data/other")
    )
    assert overlap_of_split(evaluated, other, mine)["Caution"].startswith("16 videos have the file name or the source")
    assert overlap_of_split(evaluated, mine, mine)["Caution"].startswith("8 source videos have clips")
