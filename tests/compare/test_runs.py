import numpy as np
import pytest

from jaxvid.compare.pairs import compare_pairs
from jaxvid.compare.reading import read_run, unify_classes
from jaxvid.compare.runs import dataset_label, find_cautions, group_runs, with_names
from tests.compare.made_up import CLIPS, write_run


def read_runs(*workdirs, class_map=None):
    return unify_classes([read_run(workdir) for workdir in workdirs], class_map)


def test_runs_over_seeds_and_folds_are_one_system_with_mean_and_spread(tmp_path):
    groups = group_runs(
        read_runs(
            write_run(tmp_path / "a", "abcdefghi"),
            write_run(tmp_path / "b", "abcdef", seed=1, dataset__test_split="train@1/3"),
            write_run(tmp_path / "c", "abc", model__arch="C6R1D2"),
            write_run(tmp_path / "d", "abc", data="hockey/64x64, split test"),
        )
    )
    assert [(group.system, group.data, len(group.runs)) for group in groups] == [
        ("cnn_lstm arch=C4R1D2", "movies/64x64", 2),
        ("cnn_lstm arch=C6R1D2", "movies/64x64", 1),
        ("cnn_lstm arch=C4R1D2", "hockey/64x64", 1),
    ]
    mean, spread = groups[0].mean_and_spread("accuracy")
    # 9 and 6 of 12.
    assert mean == pytest.approx(0.625)
    assert spread == pytest.approx(0.25 / np.sqrt(2))
    assert groups[1].mean_and_spread("accuracy") == (pytest.approx(0.25), None)


def test_a_system_is_named_by_what_differs_within_its_model(tmp_path):
    lrcn = {"name": "lrcn", "pretrained": ""}
    groups = group_runs(
        read_runs(
            write_run(tmp_path / "a", "abc"),
            write_run(tmp_path / "b", "ab", model=lrcn, train__batch_size=4, train__feature_cache="/tmp/a"),
            write_run(tmp_path / "c", "ab", model=lrcn | {"pretrained": "/w/a.h5"}, train__batch_size=4),
            write_run(tmp_path / "d", "ab", model=lrcn | {"pretrained": "/w/a.h5"}, train__batch_size=4, seed=1),
        )
    )
    names = [group.system for group in groups]
    assert names == ["cnn_lstm", "lrcn pretrained=", "lrcn pretrained=a.h5"]
    assert [group.system for group in with_names(groups, ["A", "B", "C"])] == ["A", "B", "C"]
    assert with_names(groups, []) == groups
    for wrong in (["A", "B"], ["A", "B", "B"]):
        with pytest.raises(ValueError, match="--names has A, B.*; allowed: a name for each of cnn_lstm; lrcn pre"):
            with_names(groups, wrong)


def test_runs_trained_on_different_datasets_are_different_systems(tmp_path):
    groups = group_runs(
        read_runs(
            write_run(tmp_path / "a", "abc"),
            write_run(tmp_path / "b", "ab", dataset__name="hockey/64x64"),
            write_run(tmp_path / "c", "a", dataset__name="movies/224x224"),
        )
    )
    assert [(group.name, len(group.runs)) for group in groups] == [
        ("cnn_lstm", 2),
        ("cnn_lstm, trained on hockey", 1),
    ]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("hockey_fight/64x64", "hockey_fight"),
        ("hockey_fight:1.0.0/64x64_random", "hockey_fight_random"),
        ("hockey_fight/64x64+ucf50/64x64_tutorial", "hockey_fight + ucf50_tutorial"),
        ("videos of /data/others", "videos of /data/others"),
    ],
)
def test_labels_of_datasets(name, label):
    assert dataset_label(name) == label


def test_runs_with_the_same_classes_in_another_order_are_compared_by_name(tmp_path):
    runs = read_runs(
        write_run(tmp_path / "a", "abcdefgh"),
        write_run(tmp_path / "b", "aijkl", class_names=("fight", "noFight"), positive=0, seed=1),
    )
    (pair,) = compare_pairs(group_runs(runs))
    assert (pair.only_first, pair.only_second) == (7, 4)
    # 2 * (C(11, 7) + C(11, 8) + ... + C(11, 11)) / 2**11, with two tails of 330 + 165 + 55 + 11 + 1.
    assert pair.p_clips == pytest.approx(2 * 562 / 2048)
    assert [run.positive_class for run in runs] == ["fight", "fight"]
    (group,) = group_runs(runs)
    # 8 and 5 of 12.
    assert group.mean_and_spread("accuracy")[0] == pytest.approx(13 / 24)
    assert find_cautions(runs) == []


def test_runs_with_other_classes_are_not_compared_and_a_caution_says_so(tmp_path):
    runs = read_runs(
        write_run(tmp_path / "a", "abcdefgh"),
        write_run(tmp_path / "b", "aijkl", class_names=("calm", "violence"), seed=1),
    )
    assert compare_pairs(group_runs(runs)) == []
    assert [len(group.runs) for group in group_runs(runs)] == [1, 1]
    (caution,) = find_cautions(runs)
    assert "different classes: no_fight, fight (a); calm, violence (b)" in caution
    assert "--class_map=theirs:ours,..." in caution


@pytest.mark.parametrize(
    "class_map",
    [{"violence": "fight", "calm": "no_fight"}, {"Fight": "violence", "no-fight": "calm"}],
    ids=["to the first run's names", "to the second run's names"],
)
def test_a_class_map_makes_classes_the_same(tmp_path, class_map):
    runs = read_runs(
        write_run(tmp_path / "a", "abcdefgh"),
        write_run(tmp_path / "b", "aijkl", class_names=("violence", "calm"), positive=0, seed=1),
        class_map=class_map,
    )
    (pair,) = compare_pairs(group_runs(runs))
    assert (pair.only_first, pair.only_second) == (7, 4)
    assert len(group_runs(runs)) == 1
    assert find_cautions(runs) == []


def test_a_class_map_that_exchanges_the_classes_is_followed(tmp_path):
    # The second run calls fights "calm": its true classes are then the opposite of the first run's.
    runs = read_runs(
        write_run(tmp_path / "a", "abcdefgh"),
        write_run(tmp_path / "b", "aijkl", class_names=("calm", "violence"), seed=1),
        class_map={"violence": "no_fight", "calm": "fight"},
    )
    assert compare_pairs(group_runs(runs)) == []
    assert find_cautions(runs)[-1] == (
        "a, b have different true classes for 12 of their clips, such as a, and are not tested against one another."
    )


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        ({"violense": "fight"}, "--class_map has 'violense', which is no class of the runs; allowed: no_fight, fight"),
        ({"fight": "violence"}, "--class_map has 'violence', which is no class of the runs; allowed: no_fight, fight"),
        ({"fight": "no_fight"}, "--class_map gives two classes of .* one name; its classes are no_fight, fight"),
    ],
)
def test_a_class_map_that_fits_no_run_is_refused(tmp_path, class_map, message):
    with pytest.raises(ValueError, match=message):
        read_runs(write_run(tmp_path / "a", "abc"), class_map=class_map)


def test_runs_with_different_positive_classes_are_not_averaged_and_a_caution_says_so(tmp_path):
    runs = read_runs(
        write_run(tmp_path / "a", "abcdefgh", class_names=("cats", "dogs")),
        write_run(tmp_path / "b", "aijkl", class_names=("cats", "dogs"), seed=1),
    )
    runs[0].metrics["positive_class"] = "cats"
    assert [len(group.runs) for group in group_runs(runs)] == [1, 1]
    (caution,) = find_cautions(runs)
    assert "different positive classes: cats (a); none (b)" in caution
    # Whether a clip is classified correctly does not depend on it.
    assert len(compare_pairs(group_runs(runs))) == 1


def test_clips_with_other_true_classes_are_named(tmp_path):
    runs = read_runs(
        write_run(tmp_path / "a", "abcdefgh"),
        write_run(tmp_path / "b", "aijkl", clips=CLIPS[1] + CLIPS[0] + CLIPS[2:], seed=1),
    )
    assert compare_pairs(group_runs(runs)) == []
    (caution,) = find_cautions(runs)
    assert caution.startswith("a, b have different true classes for 2 of their clips, such as a,")


def test_cautions_of_the_evaluations_are_repeated_with_the_name_of_the_run(tmp_path):
    runs = read_runs(
        write_run(tmp_path / "a", "abc", cautions="3 sources are in the training split too\n25 fps"),
        write_run(tmp_path / "b", "abc", cautions="25 fps"),
    )
    assert find_cautions(runs) == ["a: 3 sources are in the training split too", "a, b: 25 fps"]
    assert find_cautions([*runs, *runs, *runs])[1] == "a, b, a and 3 more: 25 fps"
