"""Folds that are stratified by class and keep the clips of one source together.

They are those of scikit-learn's `StratifiedGroupKFold`. For a million clips of as many sources, of two classes, in five
folds, that takes 106 s of one core, and this 22 s, on a machine of two; of 100,000 sources this takes 3 s.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float, Int
from scipy import sparse

from jaxvid.data.records import ClipMetadata

_SEED = 0
# Rows of the counts by source and class that are held as a dense array at a time.
_SOURCES_PER_BLOCK = 65_536
# Of SciPy's sparse arrays, type checkers know no elements.
_Counts = Any
# The tolerances of `np.isclose`.
_ABSOLUTE, _RELATIVE = 1e-8, 1e-5


def fold_of(metadata: ClipMetadata, num_folds: int) -> Int[np.ndarray, "clip"]:
    """Returns the fold of every clip: stratified by class, sources kept together, the same at every call.

    Folds depend on the names of the sources and the classes of their clips alone, not on the order of the clips.

    Raises:
      ValueError: if there are fewer than two folds, fewer sources than folds, or fewer clips of every class.
    """
    sources = sorted(set(metadata.sources))
    if not 2 <= num_folds <= len(sources):
        raise ValueError(f"{num_folds} folds of {len(sources)} source videos; allowed: 2 to {len(sources)}")
    number = {source: position for position, source in enumerate(sources)}
    source_of_clip = np.fromiter(map(number.__getitem__, metadata.sources), int, len(metadata.sources))
    _, class_of_clip, class_sizes = np.unique(metadata.labels, return_inverse=True, return_counts=True)
    if max(class_sizes) < num_folds:
        raise ValueError(f"{num_folds} folds of classes of {max(class_sizes)} clips at most; allowed: fewer folds")
    if min(class_sizes) < num_folds:
        logging.warning("a class has %d clips: not all of the %d folds can have one", min(class_sizes), num_folds)
    counts = sparse.csr_array(
        (np.ones(len(class_of_clip)), (source_of_clip, class_of_clip)), shape=(len(sources), len(class_sizes))
    )
    return _folds_of_sources(counts, class_sizes, num_folds)[source_of_clip]


def _folds_of_sources(
    counts: _Counts, class_sizes: Int[np.ndarray, "classes"], num_folds: int
) -> Int[np.ndarray, "source"]:
    """Returns the folds to which `StratifiedGroupKFold(num_folds, shuffle=True, random_state=0)` assigns sources.

    One after another, sources go where they leave the shares of every class the most even over the folds: those with
    the most uneven classes first, which are in random order where they are equally uneven. Every number is computed by
    the same operations in the same order as in scikit-learn, as the last digits decide between folds. What changes in a
    step is computed for all folds at once, and for the source's own classes alone.

    Args:
      counts: clips by source and class, a `scipy.sparse.csr_array`.
      class_sizes: clips of every class.
      num_folds: number of folds.
    """
    order = np.arange(counts.shape[0])
    np.random.RandomState(_SEED).shuffle(order)
    order = order[np.argsort(-_unevenness(counts)[order], kind="stable")]

    folds = np.empty(len(order), int)
    filled = np.zeros((num_folds, len(class_sizes)))
    spread = np.zeros(len(class_sizes))
    sizes = [0.0] * num_folds
    starts, columns, values = counts.indptr.tolist(), counts.indices, counts.data
    diagonal = np.arange(num_folds)
    for source in order.tolist():
        entries = slice(starts[source], starts[source + 1])
        classes, added = columns[entries], values[entries]
        # Of the classes that the source has: clips by fold and, for each fold that the source may go to, class.
        proposed = np.repeat(filled[:, None, classes], num_folds, axis=1)
        proposed[diagonal, diagonal] += added
        changed = _standard_deviations(proposed / class_sizes[classes], only_class=len(class_sizes) == 1)
        spreads = np.repeat(spread[None], num_folds, axis=0)
        spreads[:, classes] = changed
        best = _best_fold((np.add.reduce(spreads, axis=1) / len(spread)).tolist(), sizes)
        folds[source] = best
        filled[best, classes] += added
        spread[classes] = changed[best]
        sizes[best] += float(added.sum())
    return folds


def _unevenness(counts: _Counts) -> Float[np.ndarray, "source"]:
    """Returns the standard deviation, over the classes, of every source's clips."""
    starts = range(0, counts.shape[0], _SOURCES_PER_BLOCK)
    return np.concatenate([np.std(counts[start : start + _SOURCES_PER_BLOCK].toarray(), axis=1) for start in starts])


def _standard_deviations(
    values: Float[np.ndarray, "fold candidate classes"], *, only_class: bool
) -> Float[np.ndarray, "candidate classes"]:
    """Returns `np.std(values, axis=0)`, which takes twice as long for arrays as small as these.

    Args:
      values: shares by fold, for each fold that a source may go to, of some classes.
      only_class: whether the clips have one class alone. NumPy sums a single column, which is what scikit-learn then
        has, in another order than the columns of several.
    """
    axis = 0
    if only_class:
        values, axis = np.ascontiguousarray(np.moveaxis(values, 0, -1)), -1
    num_folds = values.shape[axis]
    deviations = values - np.add.reduce(values, axis=axis, keepdims=True) / num_folds
    return np.sqrt(np.add.reduce(deviations * deviations, axis=axis) / num_folds)


def _best_fold(spreads: Sequence[float], sizes: Sequence[float]) -> int:
    """Returns the fold of the least spread, and of folds whose spreads are close the one with the fewest clips."""
    best, least, fewest = 0, np.inf, np.inf
    for fold, (spread, size) in enumerate(zip(spreads, sizes, strict=True)):
        if spread < least or (abs(spread - least) <= _ABSOLUTE + _RELATIVE * abs(least) and size < fewest):
            best, least, fewest = fold, spread, size
    return best
