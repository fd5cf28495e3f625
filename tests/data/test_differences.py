import json

from jaxvid.data.differences import class_differences, dataset_differences, describe_differences
from jaxvid.video.properties import VideoProperties, summarize_properties


def videos(count, **changes):
    usual = {
        "container": "avi", "codec": "mpeg4", "height": 240, "width": 320, "fps": 25.0, "seconds": 2.0,
        "has_sound": False, "num_bytes": 200_000,
    }  # fmt: skip
    return [VideoProperties(**{**usual, **changes})] * count


def differences(first, second):
    return class_differences({"fight": summarize_properties(first), "calm": summarize_properties(second)})


def test_classes_of_equal_files_do_not_differ():
    assert differences(videos(20), videos(30)) == []
    assert describe_differences([]) == ""


def test_shares_more_than_20_points_apart_are_a_difference():
    # Of 20 files 3 and 7 have sound: 15 % and 35 %, exactly 20 points apart; 8 are 40 %.
    mixed = videos(3, has_sound=True) + videos(17)
    assert differences(mixed, videos(7, has_sound=True) + videos(13)) == []
    assert differences(mixed, videos(8, has_sound=True) + videos(12)) == ["with sound: 40 % of calm, 15 % of fight"]


def test_every_property_is_compared():
    assert differences(videos(10, codec="h264"), videos(10)) == ["codec mpeg4: 100 % of calm, 0 % of fight"]
    assert len(differences(videos(10, container="mov"), videos(10))) == 1
    assert "size" in differences(videos(10, height=480, width=640), videos(10))[0]
    assert "frame rate" in differences(videos(10, fps=30.0), videos(10))[0]


def test_medians_more_than_20_percent_apart_are_a_difference():
    # 2.4 s is 20 % more than 2 s, 2.5 s is 25 % more; the data rate stays 100 kB/s.
    assert differences(videos(10, seconds=2.4, num_bytes=240_000), videos(10)) == []
    longer = videos(10, seconds=2.5, num_bytes=250_000)
    assert differences(longer, videos(10)) == ["median length: 2.5 s of fight, 2 s of calm"]
    heavier = videos(10, num_bytes=300_000)
    assert differences(heavier, videos(10)) == ["median data rate: 150 kB/s of fight, 100 kB/s of calm"]


def test_classes_of_few_files_are_left_out():
    assert differences(videos(9, has_sound=True), videos(10)) == []


def test_the_largest_split_of_a_dataset_is_compared(tmp_path):
    assert dataset_differences(tmp_path) == []

    def split(count, **changes):
        classes = {"fight": summarize_properties(videos(count, **changes)), "calm": summarize_properties(videos(count))}
        return {"videos": 2 * count, "examples": 2 * count, "classes": classes}

    statistics = {"test": split(10), "train": split(20, has_sound=True)}
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    found = dataset_differences(tmp_path)
    assert found == ["with sound: 100 % of fight, 0 % of calm"]
    assert describe_differences(found) == (
        "The classes differ in more than content, and a network can learn that instead: with sound: 100 % of fight, 0 "
        "% of calm."
    )
