"""Each dataset: the files that it finds in the layouts of copies, with label, source and split."""

import shutil
import zipfile
from collections import Counter

import pytest
import tensorflow_datasets as tfds

from tests.tfds_builders.conftest import touch
from tfds_builders.surveillance_fight.surveillance_fight import video_sources
from tfds_builders.violent_flows.violent_flows import youtube_sources

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
    "violent_flows",
]
VARIANTS = {
    "hockey_fight": ["random"],
    "movies_fight": ["random", "random85"],
    "ucf50": ["tutorial"],
    "violent_flows": ["published"],
}
SIZES = ["64x64", "112x112", "128x128", "128x171", "224x224", "225x225", "299x299"]


def counts(clips):
    return Counter((clip.split, clip.label) for clip in clips)


@pytest.mark.parametrize("name", NAMES)
def test_every_builder_is_registered_with_all_sizes_and_features(name, tmp_path):
    builder = tfds.builder(name, data_dir=tmp_path)
    assert builder.builder_config.name == "128x128"
    variants = [f"{size}_{variant}" for variant in VARIANTS.get(name, ()) for size in SIZES]
    assert [config for config in builder.builder_configs if config != "tiny"] == SIZES + variants
    features = tfds.builder(f"{name}/128x171", data_dir=tmp_path).info.features
    assert set(features) == {"video", "label", "fps", "source", "filename"}
    assert features["video"].shape == (None, 128, 171, 3)
    assert features["video"].feature.encoding_format == "jpeg"
    assert builder.info.file_format.value == "array_record"


def test_a_missing_dataset_is_an_error_with_the_instructions(find_clips, tmp_path):
    with pytest.raises(ValueError, match=r"Manual directory .* does not exist or is empty[\s\S]*HockeyFights\.zip"):
        find_clips("hockey_fight")
    with pytest.raises(ValueError, match=r"does not exist or is empty[\s\S]*config\.dataset\.manual_dir"):
        find_clips("video_folder")
    touch(tmp_path / "manual", ["unrelated/file.txt"])
    for name in ("hockey_fight", "movies_fight", "rwf2000", "shv", "ucf50", "ucf101_by_group", "violent_flows"):
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
    with pytest.raises(ValueError, match="manual holds no videos of the class 'non_harassment'.* one of nonharassment"):
        find_clips("shv")


# The names of the 1000 original files: three differ from the others.
ODD_HOCKEY_NAMES = {"no65_xvid": "no65___xvid", "no142_xvid": "no142__xvid", "no238_xvid": "no238mpg_xvid"}
HOCKEY_STEMS = [f"{kind}{k}_xvid" for kind in ("fi", "no") for k in range(1, 501)]
HOCKEY_NAMES = [f"{ODD_HOCKEY_NAMES.get(stem, stem)}.avi" for stem in HOCKEY_STEMS]

EIGHTY_TO_TWENTY = {
    ("train", "fight"): 0.8,
    ("train", "no_fight"): 0.8,
    ("test", "fight"): 0.2,
    ("test", "no_fight"): 0.2,
}


def of_each_class(number):
    """The counts of 80/20 splits of two classes of `number` videos."""
    return {key: round(share * number) for key, share in EIGHTY_TO_TWENTY.items()}


def splits_by_source(clips):
    return {source: {clip.split for clip in clips if clip.source == source} for source in {c.source for c in clips}}


@pytest.mark.parametrize("inside", ["", "data/", "HockeyFights/", "Hockey/deeper/", "{class}/", "{split}/{class}/"])
def test_hockey_fight_takes_all_original_files_in_any_layout(find_clips, tmp_path, inside):
    names = [
        inside.format(**{"class": "fights" if name.startswith("fi") else "noFights", "split": ("train", "val")[k % 2]})
        + name
        for k, name in enumerate(HOCKEY_NAMES)
    ]
    touch(tmp_path / "manual", [*names, f"{inside}figure.avi", f"{inside}readme.txt"])
    clips = find_clips("hockey_fight")
    assert {clip.path.name for clip in clips} == set(HOCKEY_NAMES)
    assert counts(clips) == of_each_class(500)
    assert all((clip.label == "fight") == clip.path.name.startswith("fi") for clip in clips)


def test_hockey_fight_keeps_blocks_of_twenty_numbers_together(find_clips, tmp_path):
    touch(tmp_path / "manual", HOCKEY_NAMES)
    clips = find_clips("hockey_fight")
    members = {clip.filename: clip.source for clip in clips}
    assert {name for name, source in members.items() if source == "no61-80"} == {
        f"no{k}_xvid.avi" if k != 65 else "no65___xvid.avi" for k in range(61, 81)
    }
    assert len(set(members.values())) == 50
    assert all(len(splits) == 1 for splits in splits_by_source(clips).values())


def test_hockey_fight_keeps_identical_files_of_different_blocks_together(find_clips, tmp_path):
    touch(tmp_path / "manual", HOCKEY_NAMES)
    for name in ("no19_xvid.avi", "no242_xvid.avi", "fi3_xvid.avi"):
        (tmp_path / "manual" / name).write_bytes(b"one scene" if name[0] == "n" else b"one fight")
    clips = find_clips("hockey_fight")
    assert {number_of(clip) for clip in clips if clip.source == "no1-20"} == {*range(1, 21), *range(241, 261)}
    assert not any(clip.source == "no241-260" for clip in clips)
    assert counts(clips) == of_each_class(500)


def number_of(clip):
    return int("".join(filter(str.isdigit, clip.path.stem)))


def test_hockey_fight_random_has_one_source_per_file(find_clips, tmp_path):
    touch(tmp_path / "manual", HOCKEY_NAMES)
    clips = find_clips("hockey_fight/64x64_random")
    assert counts(clips) == of_each_class(500)
    assert len({clip.source for clip in clips}) == 1000
    # Nearly all blocks of 20 are divided.
    blocks = {(clip.label, (number_of(clip) - 1) // 20): set() for clip in clips}
    for clip in clips:
        blocks[clip.label, (number_of(clip) - 1) // 20].add(clip.split)
    assert sum(len(splits) == 2 for splits in blocks.values()) >= 45


def test_hockey_fight_reads_the_archive_and_leaves_it_alone(find_clips, tmp_path):
    (tmp_path / "manual").mkdir()
    with zipfile.ZipFile(tmp_path / "manual" / "HockeyFights.zip", "w") as archive:
        for name in HOCKEY_NAMES[::50]:
            archive.writestr(f"data/{name}", b"")
    clips = find_clips("hockey_fight")
    assert len(clips) == 20
    assert all(clip.path.is_relative_to(tmp_path / "downloads" / "extracted") for clip in clips)
    assert [path.name for path in (tmp_path / "manual").iterdir()] == ["HockeyFights.zip"]


def touch_movies(root, fights="Peliculas/fights", others="Peliculas/noFights"):
    touch(root, [f"{fights}/newfi{k}.avi" for k in range(1, 101)])
    touch(root, [f"{others}/{k}.mpg" for k in range(2, 101)] + [f"{others}/fi318_xvid.avi"])


@pytest.mark.parametrize(
    ("fights", "others"),
    [("Peliculas/fights", "Peliculas/noFights"), ("Fight", "NonFight"), ("a/b/violence", "a/b/non-violence")],
)
def test_movies_fight_is_labeled_by_folder(find_clips, tmp_path, fights, others):
    touch_movies(tmp_path / "manual", fights, others)
    clips = find_clips("movies_fight")
    assert counts(clips) == of_each_class(100)
    assert [clip.label for clip in clips if clip.path.name == "fi318_xvid.avi"] == ["no_fight"]


@pytest.mark.parametrize(
    "config", ["hockey_fight", "hockey_fight/64x64_random", "movies_fight", "movies_fight/64x64_random"]
)
def test_copies_in_other_folders_are_split_alike(find_clips, tmp_path, config):
    touch(tmp_path / "manual" / "HockeyFights", HOCKEY_NAMES)
    touch_movies(tmp_path / "manual")
    published = find_clips(config)
    shutil.rmtree(tmp_path / "manual")
    for name in HOCKEY_NAMES:
        touch(tmp_path / "manual" / "hockey_fight", [f"val/{name}" if name.startswith("fi") else f"train/{name}"])
    touch_movies(tmp_path / "manual", "movies/train/Violence", "movies/train/NonViolence")
    copy = find_clips(config)
    assert {(clip.path.name, clip.source, clip.split) for clip in copy} == {
        (clip.path.name, clip.source, clip.split) for clip in published
    }


def test_movies_fight_keeps_blocks_of_five_numbers_together(find_clips, tmp_path):
    touch_movies(tmp_path / "manual")
    clips = find_clips("movies_fight")
    assert {clip.path.name for clip in clips if clip.source == "fights/newfi6-10"} == {
        f"newfi{k}.avi" for k in range(6, 11)
    }
    assert {clip.path.name for clip in clips if clip.source == "noFights/96-100"} == {
        f"{k}.mpg" for k in range(96, 101)
    }
    assert all(len(splits) == 1 for splits in splits_by_source(clips).values())


def test_movies_fight_random_has_the_shares_of_the_papers_text_or_tables(find_clips, tmp_path):
    touch_movies(tmp_path / "manual")
    assert counts(find_clips("movies_fight/64x64_random")) == of_each_class(100)
    assert counts(find_clips("movies_fight/64x64_random85")) == {
        ("train", "fight"): 85,
        ("train", "no_fight"): 85,
        ("test", "fight"): 15,
        ("test", "no_fight"): 15,
    }


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


@pytest.mark.parametrize("inside", ["", "UCF50/", "UCF50/UCF50/train/"])
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
    assert {clip.path.name for clip in of_group} == {"v_TaiChi_g07_c01.avi", "v_TaiChi_g07_c02.avi"}
    assert {clip.split for clip in of_group} == {"test"}


@pytest.mark.parametrize("inside", ["copies/of/rwf/", "RWF-2000/RWF-2000/"])
def test_rwf2000_is_found_at_any_depth(find_clips, tmp_path, inside):
    touch(
        tmp_path / "manual",
        [f"{inside}{split}/{c}/{c}_1.avi" for split in ("train", "val") for c in ("fights", "noFights")],
    )
    assert counts(find_clips("rwf2000")) == {
        (split, label): 1 for split in ("train", "val") for label in ("fight", "no_fight")
    }


def youtube_names(query, ids, title="A_title"):
    return [f"{query}__{title}_{id_}__someone__{id_}.avi" for id_ in ids]


def test_violent_flows_has_five_folds_over_source_videos(find_clips, tmp_path):
    # 100 videos, each found by two queries.
    ids = [f"{k:03d}-_abcdEF" for k in range(100)]
    for query in ("fans_violence", "football_violence"):
        touch(tmp_path / "manual" / "Violence", youtube_names(query, ids[:50]))
        touch(tmp_path / "manual" / "NonViolence", youtube_names(query, ids[50:]))
    clips = find_clips("violent_flows")
    assert counts(clips) == {(f"fold{k}", label): 20 for k in range(1, 6) for label in ("violence", "no_violence")}
    assert {clip.source for clip in clips} == set(ids)
    assert all(len(splits) == 1 for splits in splits_by_source(clips).values())


def test_violent_flows_finds_the_source_of_names_that_are_cut_off():
    complete = "fans__Long_title__uploader__qwrOc8xmlpY"
    in_the_id = "football_violence__Long_title__uploader__qwr"
    in_the_title = "soccer_violence__Long_ti"
    other = "soccer_violence__Long_title_2__uploader__qwr"
    with_underscores = "crowds__Football_Match__goldfly___aTVnHfqClA"
    assert youtube_sources([complete, in_the_id, in_the_title, other, with_underscores]) == {
        complete: "qwrOc8xmlpY",
        in_the_id: "qwrOc8xmlpY",
        # Of two names that begin so, the longer one.
        in_the_title: "qwrOc8xmlpY",
        other: "Long_title_2__uploader__qwr",
        with_underscores: "_aTVnHfqClA",
    }


def test_violent_flows_as_published_has_the_folds_of_the_folders(find_clips, tmp_path):
    for fold in range(1, 6):
        for folder in ("Violence", "NonViolence"):
            touch(tmp_path / "manual" / "movies" / str(fold) / folder, [f"q__{folder}_{fold}__u__{fold:011d}.avi"])
    clips = find_clips("violent_flows/64x64_published")
    assert counts(clips) == {(f"fold{k}", label): 1 for k in range(1, 6) for label in ("violence", "no_violence")}
    assert all(clip.filename.startswith(clip.split.removeprefix("fold")) for clip in clips)


def test_violent_flows_as_published_needs_the_folders_of_the_folds(find_clips, tmp_path):
    touch(tmp_path / "manual", ["Violence/a__b__c.avi", "NonViolence/d__e__f.avi"])
    with pytest.raises(ValueError, match="is in none of the folders 1 to 5, the folds of violent_flows"):
        find_clips("violent_flows/64x64_published")


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
    with pytest.raises(ValueError, match="no videos of HorseRace, Swing, WalkingWithDog, .* it holds: Biking, TaiChi"):
        find_clips("ucf50/64x64_tutorial")


def touch_ucf101(root):
    for folder in ("TaiChi", "HandstandPushups"):
        # The files of one class are spelled differently from its folder.
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
    with pytest.raises(ValueError, match=r"testlist01.txt and the groups disagree on v_HandStandPushups_g07_c01.avi"):
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
    assert video_sources(LISTING) == {
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


def test_a_folder_around_all_others_is_skipped(find_clips, tmp_path):
    touch(tmp_path / "archive" / "my_videos", [f"{label}/{k}.mp4" for label in ("calm", "fight") for k in range(10)])
    clips = find_clips("video_folder", directory=tmp_path / "archive")
    assert {clip.label for clip in clips} == {"calm", "fight"}
    assert len({clip.source for clip in clips}) == 20
    touch(tmp_path / "splits" / "my_videos", [f"{s}/{c}/1.mp4" for s in ("train", "val") for c in ("calm", "fight")])
    assert set(counts(find_clips("video_folder", directory=tmp_path / "splits"))) == {
        (split, label) for split in ("train", "val") for label in ("calm", "fight")
    }


def test_identical_files_of_a_video_folder_stay_in_one_split(find_clips, tmp_path):
    touch(tmp_path / "mine", [f"{label}/{k}.mp4" for label in ("calm", "fight") for k in range(20)])
    for k in range(10):
        (tmp_path / "mine" / "calm" / f"{k}.mp4").write_bytes(f"scene {k}".encode())
        (tmp_path / "mine" / "calm" / f"copy of {k}.mp4").write_bytes(f"scene {k}".encode())
    clips = find_clips("video_folder", directory=tmp_path / "mine")
    splits = {clip.path.name: clip.split for clip in clips if clip.label == "calm"}
    assert all(splits[f"{k}.mp4"] == splits[f"copy of {k}.mp4"] for k in range(10))


def test_classes_of_a_video_folder_may_be_links(find_clips, tmp_path):
    touch(tmp_path / "elsewhere", [f"{label}/{k}.mp4" for label in ("calm", "fight") for k in range(10)])
    (tmp_path / "mine").mkdir()
    for label in ("calm", "fight"):
        (tmp_path / "mine" / label).symlink_to(tmp_path / "elsewhere" / label)
    clips = find_clips("video_folder", directory=tmp_path / "mine")
    assert Counter(clip.label for clip in clips) == {"calm": 10, "fight": 10}


def test_video_folders_have_different_names(tmp_path):
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
        (["fight/1.mp4", "calm/1.mp4"], "2 videos of 2 sources are too few"),
    ],
)
def test_invalid_video_folders_are_refused(find_clips, tmp_path, files, message):
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
