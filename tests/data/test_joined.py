import ml_collections
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid.config import base_config
from jaxvid.data import joined
from jaxvid.data.dataset import open_split, shared_sources
from jaxvid.data.joined import class_map_for, find_data, prepare_data, section_of, sections
from jaxvid.data.records import decode_frames


def section(**values):
    return ml_collections.ConfigDict({**base_config().dataset, **values})


def true_classes(split):
    """The classes by the folders in the file names, which both datasets call fight and no_fight."""
    return [filename.split("/")[-2] for filename in split.metadata.filenames]


def test_joined_datasets_have_the_clips_of_both_and_the_classes_of_the_first(brawl):
    data = prepare_data(section(**brawl))
    split = data.open_split("train")
    assert data.class_names == split.class_names == ["no_fight", "fight"]
    assert len(split) == 16 + 8
    assert [split.class_names[label] for label in split.metadata.labels] == true_classes(split)
    # Both have a scene000.
    assert len(set(split.metadata.sources)) == 8 + 4
    assert {"synthetic_fight/scene000", "synthetic_brawl/scene000"} <= set(split.metadata.sources)
    assert len(set(split.metadata.videos)) == 24
    assert data.version == "1.0.0,1.0.0"


def test_clips_of_joined_datasets_are_those_of_each(brawl, data_dir):
    split = prepare_data(section(**brawl)).open_split("test,val@0/2")
    name = split.metadata.filenames[-1].removeprefix("synthetic_brawl/")
    alone = open_split(tfds.builder("synthetic_brawl/tiny", data_dir=data_dir), "val")
    position = alone.metadata.filenames.index(name)
    assert len(split) == 8 + 4
    clip, expected = split[len(split) - 1], alone[position]
    assert clip.filename == expected.filename == name
    np.testing.assert_array_equal(
        decode_frames(clip.frames, np.arange(3)), decode_frames(expected.frames, np.arange(3))
    )
    # The index has the clips in the same order, and no two videos of one name.
    rows = split.rows().to_pylist()
    assert [row["video"] for row in rows] == split.metadata.videos
    assert rows[-1]["filename"] == name
    assert [row["num_frames"] for row in rows] == split.metadata.num_frames.tolist()
    # Of the joined classes no_fight, fight, and of brawl, calm.
    assert clip.label == 1 - expected.label
    assert [split[i].label for i in range(len(split))] == split.metadata.labels.tolist()


def test_splits_of_joined_datasets_share_no_source(brawl):
    data = prepare_data(section(**brawl))
    assert shared_sources(data.open_split("train@!0/4"), data.open_split("train@0/4")) == []
    # Where it is a split of the one alone, it has scenes of the same name in the other.
    assert shared_sources(data.open_split("train,val"), data.open_split("val,test")) == []


def test_a_single_dataset_stays_as_it_is(data_dir):
    dataset = section(name="synthetic_fight/tiny", data_dir=str(data_dir), manual_dir="/a,b")
    assert sections(dataset) == [dataset]
    split = prepare_data(dataset).open_split("val")
    assert split.metadata.sources[0].startswith("scene")


def test_classes_without_a_counterpart_are_refused(brawl):
    message = r"synthetic_brawl/tiny/1.0.0 has the classes brawl, calm, and the first .* no_fight, fight; .*class_map="
    with pytest.raises(ValueError, match=message):
        prepare_data(section(**brawl | {"class_map": "brawl:fight"}))
    with pytest.raises(ValueError, match="config.dataset.class_map has the part 'brawl'; allowed: theirs:ours"):
        prepare_data(section(**brawl | {"class_map": "brawl"}))


def test_datasets_of_different_sizes_are_refused(brawl, monkeypatch):
    sizes = {"synthetic_fight": (64, 64), "synthetic_brawl": (64, 32)}
    monkeypatch.setattr(joined, "frame_size", lambda builder: sizes[builder.name])
    with pytest.raises(ValueError, match="synthetic_brawl/tiny'; allowed: datasets of one frame size and sound"):
        prepare_data(section(**brawl))


def test_data_of_which_a_part_is_not_prepared_is_not_found(brawl):
    assert find_data(section(**brawl)) is not None
    assert find_data(section(**brawl | {"name": "synthetic_fight/tiny+hockey_fight/64x64"})) is None


JOINED = {"name": "hockey_fight/64x64+violent_flows/64x64", "val_split": "val", "train_split": "train,fold1+fold2"}


def test_each_dataset_has_its_values():
    first, second = sections(section(**JOINED, manual_dir="/a,/b"))
    assert (first.name, first.manual_dir, first.train_split, first.val_split) == (
        "hockey_fight/64x64",
        "/a",
        "train",
        "val",
    )
    assert (second.name, second.manual_dir, second.train_split) == ("violent_flows/64x64", "/b", "fold1+fold2")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train_split": "a,b,c"}, "config.dataset.train_split is 'a,b,c'; allowed: one value, or 2 with commas"),
        ({"manual_dir": "a,b,c"}, "config.dataset.manual_dir is 'a,b,c'; allowed: one value, or 2 with commas"),
        ({"name": "ucf50/64x64+ucf50/64x64_tutorial"}, "ucf50/64x64_tutorial'; allowed: different datasets"),
    ],
)
def test_values_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        sections(section(**JOINED | values))


@pytest.mark.parametrize(
    ("manual_dir", "name", "expected"),
    [
        ("/a,/b,/c", "surveillance_fight/64x64", "/c"),
        ("/a,/b", "surveillance_fight/64x64", ""),
        ("/a", "surveillance_fight/64x64", "/a"),
        ("/a,/b,/c", "violent_flows/128x128", "/b"),
        ("/a,/b,/c", "movies_fight/64x64", ""),
    ],
)
def test_a_dataset_to_test_on_has_its_own_directory(manual_dir, name, expected):
    dataset = section(**JOINED, test_name="surveillance_fight/64x64", manual_dir=manual_dir)
    found = section_of(dataset, name)
    assert (found.name, found.manual_dir) == (name, expected)


def test_one_dataset_to_train_on_and_one_to_test_on_have_a_directory_each():
    dataset = section(name="hockey_fight/64x64", test_name="movies_fight/64x64", manual_dir="/a,/b")
    assert [each.manual_dir for each in sections(dataset)] == ["/a"]
    assert section_of(dataset, "movies_fight/64x64").manual_dir == "/b"


def test_the_class_map_of_a_config_holds_for_the_classes_it_names():
    dataset = section(class_map="brawl:fight,calm:no_fight,dog:cat")
    assert class_map_for(dataset, ["Calm", "brawl"]) == {"brawl": "fight", "calm": "no_fight"}
    assert class_map_for(dataset, ["fight", "no_fight"]) == {}
