import itertools

import numpy as np
import pytest
from scipy import stats

from jaxvid.compare.pairs import compare_pairs, holm, mcnemar, permutation_test
from jaxvid.compare.reading import read_run, unify_classes
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run


def read_groups(*workdirs):
    return group_runs(unify_classes([read_run(workdir) for workdir in workdirs]))


def test_mcnemar_by_hand():
    # Of 8 clips that only one run classifies correctly, one is the other run's: 2 * (1 + 8) / 2**8.
    assert mcnemar(1, 7) == pytest.approx(18 / 256)
    assert mcnemar(0, 0) == 1
    assert mcnemar(3, 3) == pytest.approx(1)


@pytest.mark.parametrize("by_source", [[3, -1, 2], [4, 0, 0, -4], [1, 2, 3, -1, 0, 5], [7], [0, 0], [2, 2, 2, 2, -1]])
def test_the_permutation_test_counts_all_exchanges(by_source):
    sums = [np.dot(signs, by_source) for signs in itertools.product([1, -1], repeat=len(by_source))]
    expected = np.mean([abs(value) >= abs(sum(by_source)) for value in sums])
    assert permutation_test(np.asarray(by_source)) == pytest.approx(expected)


def test_the_permutation_test_is_that_of_scipy():
    by_source = np.random.default_rng(0).integers(-4, 7, 10)
    zeros = np.zeros(len(by_source))
    # Exact, as there are fewer exchanges than resamples; two-sided by the absolute value.
    expected = stats.permutation_test(
        (by_source, zeros),
        lambda first, second, axis: np.abs((first - second).sum(axis=axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=2000,
    )
    assert permutation_test(by_source) == pytest.approx(expected.pvalue)


def test_with_clips_of_different_sources_the_permutation_test_is_mcnemars():
    assert permutation_test(np.asarray([1] * 9 + [-1] * 3 + [0] * 20)) == pytest.approx(mcnemar(9, 3))


def test_the_permutation_test_of_many_sources_is_near_the_normal_distribution():
    by_source = np.asarray([3, -3] * 200 + [2] * 50)
    deviation = np.sqrt((by_source**2).sum())
    # Sums go up in steps of 2, of which the last one counts half.
    expected = 2 * stats.norm.sf((abs(by_source.sum()) - 1) / deviation)
    assert permutation_test(by_source) == pytest.approx(expected, rel=0.01)


def test_holm_by_hand():
    # 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 and 0.04 * 1, which may not be less than the one before.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.6]), [1, 1])
    assert holm([]).tolist() == []


def test_runs_of_a_single_system_are_compared_if_they_have_the_same_clips(tmp_path):
    groups = read_groups(
        write_run(tmp_path / "a", "abcdefgh"),
        write_run(tmp_path / "b", "aijkl", seed=1),
        write_run(tmp_path / "c", "abc", clips="mnopqrstuvwx"),
    )
    (pair,) = compare_pairs(groups)
    assert (pair.first, pair.second) == ("a", "b")
    assert (pair.only_first, pair.only_second) == (7, 4)
    assert pair.accuracy == pytest.approx(3 / 12)


def test_clips_of_one_source_are_exchanged_together(tmp_path):
    sources = ["one"] * 4 + ["two"] * 4 + ["three"] * 4
    groups = read_groups(
        write_run(tmp_path / "a", "abcdefgh", sources=sources), write_run(tmp_path / "b", "ij", sources=sources, seed=1)
    )
    (pair,) = compare_pairs(groups)
    # Differences 4, 4 and -2: of the 8 exchanges, 4 + 4 - 2 and 4 + 4 + 2 with either sign are as far from 0.
    assert pair.p_sources == pytest.approx(4 / 8)
    assert pair.p_clips == pytest.approx(mcnemar(8, 2))
    # Resamples of three sources: the mean lies between those of the extreme ones.
    assert (pair.low, pair.high) == (pytest.approx(-0.5), pytest.approx(1))


def test_systems_are_compared_fold_by_fold_and_p_values_corrected(tmp_path):
    runs = []
    for arch, folds in {
        "C4R1D2": ("abcdefgh", "abcd"),
        "C6R1D2": ("ij", "abcde"),
        "C8R1D2": ("abcdefgh", "abcd"),
    }.items():
        for fold, correct in enumerate(folds):
            clips = [f"{fold}{letter}" for letter in "abcdefghijkl"]
            name = f"{arch}-{fold}"
            runs.append(write_run(tmp_path / name, correct, clips=clips, model__arch=arch, seed=fold))
    # The order of the runs does not matter.
    first, second, third = compare_pairs(read_groups(runs[0], runs[1], runs[3], runs[2], runs[4], runs[5]))
    assert (first.first, first.second) == ("cnn_lstm arch=C4R1D2", "cnn_lstm arch=C6R1D2")
    assert (first.num_runs, first.only_first, first.only_second) == (2, 8, 3)
    assert first.p_sources == pytest.approx(mcnemar(8, 3))
    assert first.p_corrected == pytest.approx(min(1, 3 * mcnemar(8, 3)))
    assert (second.only_first, second.only_second, second.p_sources, second.p_corrected) == (0, 0, 1, 1)
    assert third.accuracy == pytest.approx(-5 / 24)


def test_one_source_gives_no_interval(tmp_path):
    groups = read_groups(*(write_run(tmp_path / name, name, sources=["one"] * 12, seed=ord(name)) for name in "ab"))
    (pair,) = compare_pairs(groups)
    assert (pair.low, pair.high) == (None, None)
