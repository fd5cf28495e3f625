"""Each dataset: which files it finds in the published layout, with which label, source and split."""

import zipfile
from collections import Counter

import pytest
import tensorflow_datasets as tfds

from tests.tfds_builders.conftest import touch
from tfds_builders.surveillance_fight.surveillance_fight import clip_sources

NAMES = [
    "hockey_fight",
    "movies_fight",
    "rwf2000",
    "shv",
    "surveillance_fight",
    "synthetic_fight",
    "synthetic_genre",
    "ucf101_by_group",
    "ucf50",
    "video_folder",
]
SIZES = ["64x64", "112x112", "128x128", "128x171", "224x224", "225x225", "299x299"]


def counts(clips):
    return Counter((clip.split, clip.label) for clip in clips)


@pytest.mark.parametrize("name", NAMES)
def test_every_builder_is_registered_with_all_sizes_and_features(name, tmp_path):
    builder = tfds.builder(name, data_dir=tmp_path)
    assert builder.builder_config.name == "128x128"
    assert [size for size in builder.builder_configs if size not in ("tiny", "64x64_tutorial")] == SIZES
    features = tfds.builder(f"{name}/128x171", data_dir=tmp_path).info.features
    assert set(features) == {"video", "label", "fps", "source", "filename"}
    assert features["video"].shape == (None, 128, 171, 3)
    assert features["video"].feature.encoding_format == "jpeg"
    assert builder.info.file_format.value == "array_record"


def test_what_is_missing_is_told_with_the_instructions(find_clips, tmp_path):
    with pytest.raises(ValueError, match=r"Manual directory .* does not exist or is empty[\s\S]*HockeyFights\.zip"):
        find_clips("hockey_fight")
    touch(tmp_path / "manual", ["unrelated/file.txt"])
    for name in ("hockey_fight", "movies_fight", "rwf2000", "shv", "ucf50", "ucf101_by_group"):
        with pytest.raises(ValueError, match="the dataset is not in the manual directory"):
            find_clips(name)


@pytest.mark.parametrize("inside", ["", "SHV/"])
def test_shv(find_clips, tmp_path, inside):
    touch(tmp_path / "manual", [f"{inside}Harassment/{k}.mp4" for k in range(150)])
    touch(tmp_path / "manual", [f"{inside}non_harassment/{k}.mp4" for k in range(150)])
    clips = find_clips("shv")
    assert counts(clips) == {
        ("train", "harassment"): 105,
        ("train", "non_harassment"): 105,
        ("test", "harassment"): 45,
        ("test", "non_harassment"): 45,
    }
    assert len({clip.source for clip in clips}) == 300


def test_a_class_without_clips_is_an_error(find_clips, tmp_path):
    touch(tmp_path / "manual", ["harassment/1.mp4", "non_harassment/readme.txt"])
    with pytest.raises(
        ValueError, match="non_harassment holds no videos: the class 'non_harassment' would have no clips"
    ):
        find_clips("shv")


HOCKEY_NAMES = [f"{kind}{k}_xvid.avi" for kind in ("fi", "no") for k in range(1, 501)]


@pytest.mark.parametrize("inside", ["", "data/", "HockeyFights/"])
def test_hockey_fight(find_clips, tmp_path, inside):
    touch(tmp_path / "manual", [inside + name for name in [*HOCKEY_NAMES, "figure.avi", "readme.txt"]])
    clips = find_clips("hockey_fight")
    assert counts(clips) == {
        ("train", "fight"): 400,
        ("train", "no_fight"): 400,
        ("test", "fight"): 100,
        ("test", "no_fight"): 100,
    }
    assert all((clip.label == "fight") == clip.filename.startswith("fi") for clip in clips)


def test_hockey_fight_reads_the_archive_and_leaves_it_alone(find_clips, tmp_path):
    (tmp_path / "manual").mkdir()
    with zipfile.ZipFile(tmp_path / "manual" / "HockeyFights.zip", "w") as archive:
        for name in HOCKEY_NAMES[::50]:
            archive.writestr(f"data/{name}", b"")
    clips = find_clips("hockey_fight")
    assert len(clips) == 20
    assert all(clip.path.is_relative_to(tmp_path / "downloads" / "extracted") for clip in clips)
    assert [path.name for path in (tmp_path / "manual").iterdir()] == ["HockeyFights.zip"]


def test_movies_fight_is_labelled_by_folder(find_clips, tmp_path):
    touch(tmp_path / "manual", [f"Peliculas/fights/newfi{k}.avi" for k in range(1, 101)])
    touch(tmp_path / "manual", [f"Peliculas/noFights/{k}.mpg" for k in range(2, 101)])
    touch(tmp_path / "manual", ["Peliculas/noFights/fi318_xvid.avi"])
    clips = find_clips("movies_fight")
    assert counts(clips) == {
        ("train", "fight"): 85,
        ("train", "no_fight"): 85,
        ("test", "fight"): 15,
        ("test", "no_fight"): 15,
    }
    assert [clip.label for clip in clips if clip.path.name == "fi318_xvid.avi"] == ["no_fight"]


@pytest.mark.parametrize("inside", ["", "RWF-2000/"])
def test_rwf2000(find_clips, tmp_path, inside):
    touch(
        tmp_path / "manual",
        [
            inside + name
            for name in (
                "train/Fight/-1l5631l3fg_0.avi",
                "train/Fight/-1l5631l3fg_1.avi",
                "train/NonFight/_q5Nwh4Z6ao_3.avi",
            )
        ]
        + [f"{inside}val/Fight/a_b_12.avi", f"{inside}val/NonFight/-1.avi"],
    )
    clips = find_clips("rwf2000")
    assert {(clip.filename, clip.label, clip.source, clip.split) for clip in clips} == {
        ("train/Fight/-1l5631l3fg_0.avi", "fight", "-1l5631l3fg", "train"),
        ("train/Fight/-1l5631l3fg_1.avi", "fight", "-1l5631l3fg", "train"),
        ("train/NonFight/_q5Nwh4Z6ao_3.avi", "no_fight", "_q5Nwh4Z6ao", "train"),
        ("val/Fight/a_b_12.avi", "fight", "a_b", "val"),
        ("val/NonFight/-1.avi", "no_fight", "-1", "val"),
    }


@pytest.mark.parametrize("inside", ["", "UCF50/"])
def test_ucf50_is_split_by_group(find_clips, tmp_path, inside):
    for folder in ("TaiChi", "Biking"):
        touch(
            tmp_path / "manual",
            [f"{inside}{folder}/v_{folder}_g{group:02d}_c{c:02d}.avi" for group in range(1, 26) for c in (1, 2)],
        )
    clips = find_clips("ucf50")
    assert counts(clips) == {
        ("train", "Biking"): 36,
        ("train", "TaiChi"): 36,
        ("test", "Biking"): 14,
        ("test", "TaiChi"): 14,
    }
    of_group = [clip for clip in clips if clip.source == "TaiChi_g07"]
    assert {clip.filename for clip in of_group} == {"TaiChi/v_TaiChi_g07_c01.avi", "TaiChi/v_TaiChi_g07_c02.avi"}
    assert {clip.split for clip in of_group} == {"test"}


def touch_ucf50(root, folders):
    for folder in folders:
        touch(root, [f"{folder}/v_{folder}_g{group:02d}_c01.avi" for group in range(1, 26)])


def test_ucf50_of_the_tutorial_takes_its_four_classes(find_clips, tmp_path):
    touch_ucf50(tmp_path / "manual", ["TaiChi", "Biking", "Swing", "WalkingWithDog", "HorseRace", "YoYo"])
    clips = find_clips("ucf50/64x64_tutorial")
    assert {clip.label for clip in clips} == {"WalkingWithDog", "TaiChi", "Swing", "HorseRace"}
    assert Counter(clip.split for clip in clips) == {"train": 4 * 18, "test": 4 * 7}


def test_ucf50_of_the_tutorial_names_the_classes_that_are_missing(find_clips, tmp_path):
    touch_ucf50(tmp_path / "manual", ["TaiChi", "Biking"])
    with pytest.raises(ValueError, match="no clips of HorseRace, Swing, WalkingWithDog, .* it holds: Biking, TaiChi"):
        find_clips("ucf50/64x64_tutorial")


def touch_ucf101(root):
    for folder in ("TaiChi", "HandstandPushups"):
        # The files of one class are spelt otherwise than its folder.
        name = folder.replace("stand", "Stand")
        touch(root, [f"{folder}/v_{name}_g{group:02d}_c01.avi" for group in range(1, 26)])


@pytest.mark.parametrize("inside", ["", "UCF-101"])
def test_ucf101_holds_the_parts_of_the_official_splits(find_clips, tmp_path, inside):
    touch_ucf101(tmp_path / "manual" / inside)
    clips = find_clips("ucf101_by_group")
    groups = {
        split: sorted({int(clip.source[-2:]) for clip in clips if clip.split == split}) for split, _ in counts(clips)
    }
    assert groups == {
        "test1": list(range(1, 8)),
        "test2": list(range(8, 15)),
        "test3": list(range(15, 22)),
        "always_train": [22, 23, 24, 25],
    }
    assert {clip.label for clip in clips} == {"TaiChi", "HandstandPushups"}
    assert {clip.source for clip in clips} >= {"TaiChi_g01", "HandstandPushups_g25"}


def write_official_lists(root, groups_of_first_split):
    root.mkdir()
    for number, groups in ((1, groups_of_first_split), (2, range(8, 15)), (3, range(15, 22))):
        # The first list names classes that are not there, too.
        names = [f"{label}/v_{label}_g{group:02d}_c01.avi" for group in groups for label in ("TaiChi", "YoYo")]
        names += [f"HandstandPushups/v_HandStandPushups_g{group:02d}_c01.avi" for group in groups]
        (root / f"testlist{number:02d}.txt").write_text("\n".join(names) + "\n")


def test_ucf101_is_compared_with_the_official_lists(find_clips, tmp_path):
    touch_ucf101(tmp_path / "manual")
    write_official_lists(tmp_path / "manual" / "ucfTrainTestlist", range(1, 8))
    assert len(find_clips("ucf101_by_group")) == 50


def test_ucf101_with_other_lists_is_an_error(find_clips, tmp_path):
    touch_ucf101(tmp_path / "manual" / "UCF-101")
    write_official_lists(tmp_path / "manual" / "ucfTrainTestlist", range(1, 7))
    with pytest.raises(
        ValueError, match=r"testlist01.txt and the groups do not agree on v_HandStandPushups_g07_c01.avi"
    ):
        find_clips("ucf101_by_group")


LISTING = """https://www.youtube.com/watch?v=7q6K \r
fi001: 0.13.50 - 0.15.60\r
nofi001: 2.34.70 - 2.37.80\r
https://www.youtube.com/watch?v=d2xX\r
fi002: 0.14.50 - 0.17.50\r
nofi001: 0.04.70 - 0.06.70\r
\r
nofi062 - nofi064 : CamNet Dataset\r
nofi064 - nofi065 : Synopsis dataset"""


def test_the_sources_of_surveillance_fight():
    first, second = "https://www.youtube.com/watch?v=7q6K", "https://www.youtube.com/watch?v=d2xX"
    assert clip_sources(LISTING) == {
        "fi001": first,
        "nofi001": first,
        "fi002": second,
        "nofi062": "CamNet Dataset",
        "nofi063": "CamNet Dataset",
        "nofi064": "CamNet Dataset",
        "nofi065": "Synopsis dataset",
    }


@pytest.mark.parametrize("inside", ["", "surveillance_fight/"])
def test_surveillance_fight_keeps_sources_together(find_clips, tmp_path, inside):
    root = tmp_path / "manual" / inside
    touch(root, [f"fight/fi{k:03d}.mp4" for k in range(1, 51)] + [f"noFight/nofi{k:03d}.mp4" for k in range(1, 51)])
    lines = []
    for video in range(8):
        lines.append(f"https://host/watch?v={video}")
        lines += [
            f"{kind}{k:03d}: 0.01.00 - 0.02.00" for kind in ("fi", "nofi") for k in range(5 * video + 1, 5 * video + 6)
        ]
    (root / "videos.txt").write_text("\r\n".join(lines))
    clips = find_clips("surveillance_fight")
    assert [clip.source for clip in clips if clip.path.stem in ("fi006", "nofi010")] == ["https://host/watch?v=1"] * 2
    assert [clip.source for clip in clips if clip.path.stem == "fi050"] == ["fi050"]
    splits = {source: {clip.split for clip in clips if clip.source == source} for source in {c.source for c in clips}}
    assert all(len(of_source) == 1 for of_source in splits.values())
    shares = counts(clips)
    for label in ("fight", "no_fight"):
        assert [shares[split, label] for split in ("train", "val", "test")] == [30, 10, 10]


def test_surveillance_fight_downloads_its_archive_if_there_is_no_manual_directory(find_clips, monkeypatch, tmp_path):
    unpacked = tmp_path / "unpacked"
    root = unpacked / "fight-detection-surv-dataset-master"
    touch(root, [f"{folder}/{k}.mp4" for folder in ("fight", "noFight") for k in range(10)])
    addresses = []
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download_and_extract", lambda _, address: addresses.append(address) or unpacked
    )
    assert len(find_clips("surveillance_fight")) == 20
    assert addresses == ["https://github.com/seymanurakti/fight-detection-surv-dataset/archive/HEAD.zip"]


def test_surveillance_fight_without_network_names_the_manual_directory(find_clips, monkeypatch):
    def fail(*_):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", fail)
    with pytest.raises(ValueError, match=r"cannot be downloaded: Name or service not known[\s\S]*manual directory"):
        find_clips("surveillance_fight")


def test_video_folder_by_class(find_clips, tmp_path):
    for label in ("zebra", "Žába"):
        touch(tmp_path / "animals" / label, [f"{k}.MP4" for k in range(18)] + ["herd/1.avi", "herd/2.avi"])
    touch(tmp_path / "animals", ["readme.txt", ".cache/x/1.mp4"])
    clips = find_clips("video_folder", directory=tmp_path / "animals")
    for label in ("zebra", "Žába"):
        assert Counter(clip.split for clip in clips if clip.label == label) == {"train": 16, "val": 2, "test": 2}
    # A folder within a class is one source, of that class and of others.
    herd = [clip for clip in clips if clip.source == "herd"]
    assert len(herd) == 4
    assert len({clip.split for clip in herd}) == 1


def test_video_folder_with_other_ratios(find_clips, tmp_path):
    touch(tmp_path / "animals", [f"{label}/{k}.mp4" for label in ("cat", "dog") for k in range(10)])
    clips = find_clips("video_folder", directory=tmp_path / "animals", ratios={"train": 0.5, "test": 0.5})
    assert Counter(clip.split for clip in clips) == {"train": 10, "test": 10}


def test_video_folder_by_split(find_clips, tmp_path):
    names = [
        "Train/nonfight/a.mp4",
        "Train/fight/b.mp4",
        "validation/fight/c.mp4",
        "test/fight/d.mp4",
        "test/nonfight/e.mp4",
    ]
    touch(tmp_path / "manual", names)
    clips = find_clips("video_folder")
    assert sorted((clip.split, clip.label, clip.filename) for clip in clips) == [
        ("test", "fight", "test/fight/d.mp4"),
        ("test", "nonfight", "test/nonfight/e.mp4"),
        ("train", "fight", "Train/fight/b.mp4"),
        ("train", "nonfight", "Train/nonfight/a.mp4"),
        ("val", "fight", "validation/fight/c.mp4"),
    ]


def test_video_folders_are_kept_apart(tmp_path):
    touch(tmp_path, ["a/clips/x/1.mp4", "b/clips/x/1.mp4"])

    def place(directory, config="video_folder/64x64", **kwargs):
        return tfds.builder(config, data_dir=tmp_path / "data", directory=directory, **kwargs).data_dir

    places = [
        place(tmp_path / "a" / "clips"),
        place(tmp_path / "b" / "clips"),
        place(tmp_path / "b" / "clips", "video_folder/112x112"),
        place(tmp_path / "b" / "clips", ratios={"train": 0.5, "test": 0.5}),
        tfds.builder("video_folder/64x64", data_dir=tmp_path / "data").data_dir,
    ]
    assert len(set(places)) == 5
    assert place(tmp_path / "a" / "clips") == places[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "is not a directory"),
        (["readme.txt"], "holds no folders"),
        (["fight/1.mp4", "calm/readme.txt"], "calm holds no videos: the class 'calm' would have no clips"),
        (["fight/1.mp4", "calm/1.mp4"], "2 clips of 2 sources are too few"),
    ],
)
def test_video_folders_that_are_none_are_refused(find_clips, tmp_path, files, message):
    touch(tmp_path / "folder", files)
    with pytest.raises(ValueError, match=message):
        find_clips("video_folder", directory=tmp_path / "folder")


def test_video_folder_options_are_checked(tmp_path):
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        tfds.builder("video_folder", directory=tmp_path, data_dir=tmp_path, ratios={"train": 2.0})
    with pytest.raises(ValueError, match="no config '1x1'; it has 64x64, 112x112.*followed by any of _<N>fps"):
        tfds.builder("video_folder/1x1", directory=tmp_path, data_dir=tmp_path)
    with pytest.raises(ValueError, match="ratios can only be given together with directory"):
        tfds.builder("video_folder", data_dir=tmp_path, ratios={"train": 1.0})
