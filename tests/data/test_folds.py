"""Folds: scikit-learn's, for any number of classes, folds and sources."""

import collections
import warnings

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from jaxvid.data.folds import fold_of
from jaxvid.data.records import ClipMetadata


def metadata(labels, sources):
    names = list(map(str, range(100, 100 + len(labels))))
    return ClipMetadata(
        labels=np.asarray(labels),
        num_frames=np.ones(len(labels), int),
        num_samples=np.zeros(len(labels), int),
        fps=np.ones(len(labels)),
        sources=list(sources),
        filenames=names,
        videos=names,
    )


def test_folds_are_stratified_and_depend_on_the_clips_alone():
    labels = [0, 1] * 20
    sources = [f"s{i // 2}" for i in range(40)]
    folds = fold_of(metadata(labels, sources), 5)
    assert collections.Counter(zip(folds.tolist(), labels, strict=True)) == {
        (f, c): 4 for f in range(5) for c in (0, 1)
    }
    stored = np.random.default_rng(0).permutation(40)
    reordered = metadata(labels, sources).take(stored)
    np.testing.assert_array_equal(fold_of(reordered, 5), folds[stored])


def folds_of_scikit_learn(labels, sources, num_folds):
    folds = np.empty(len(labels), int)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        for fold, (_, members) in enumerate(splitter.split(labels, labels, sources)):
            folds[members] = fold
    return folds


# Classes and folds from few to more than the eight numbers that NumPy sums at a time; sources of one clip and of many.
@pytest.mark.parametrize(
    ("num_classes", "num_folds", "num_clips", "num_sources"),
    [
        (1, 12, 300, 150),
        (2, 2, 500, 40),
        (2, 5, 800, 800),
        (2, 10, 600, 500),
        (3, 5, 800, 60),
        (7, 9, 600, 400),
        (20, 4, 700, 700),
        (50, 11, 1200, 200),
    ],
)
def test_folds_are_those_of_scikit_learn(num_classes, num_folds, num_clips, num_sources):
    for seed in range(2):
        rng = np.random.default_rng(seed)
        # Classes of uneven sizes.
        labels = np.minimum(rng.geometric(0.4, num_clips) - 1, num_classes - 1) if seed % 2 else None
        labels = rng.integers(num_classes, size=num_clips) if labels is None else labels
        numbers = rng.permutation(num_clips) if num_sources == num_clips else rng.integers(num_sources, size=num_clips)
        sources = [f"source {number}" for number in numbers]
        expected = folds_of_scikit_learn(labels, sources, num_folds)
        np.testing.assert_array_equal(fold_of(metadata(labels, sources), num_folds), expected)


def test_too_few_sources_or_clips_are_named():
    with pytest.raises(ValueError, match="5 folds of 4 source videos; allowed: 2 to 4"):
        fold_of(metadata([0, 1] * 4, [f"s{i // 2}" for i in range(8)]), 5)
    with pytest.raises(ValueError, match="5 folds of classes of 4 clips at most; allowed: fewer folds"):
        fold_of(metadata([0, 1] * 4, [f"s{i}" for i in range(8)]), 5)
