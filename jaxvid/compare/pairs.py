"""Whether two systems that were evaluated on the same clips differ: paired tests, corrected for their number."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from jaxvid.compare.runs import EvaluatedRun, SystemRuns, have_same_classes, relabeled_clips, same_clips
from jaxvid.metrics.bootstrap import percentiles, resampled_means

_NUM_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two systems differ on the clips that both were evaluated on.

    Attributes:
      first: name of one system.
      second: name of the other.
      num_runs: number of pairs of runs, such as folds, whose clips are taken together.
      only_first: number of clips that only the first classifies correctly.
      only_second: number of clips that only the second classifies correctly.
      accuracy: accuracy of the first less that of the second.
      low: lower end of its 95 % interval, a bootstrap over sources; None if there is one source.
      high: the upper end.
      p_clips: two-sided p-value of McNemar's exact test (Q. McNemar, Psychometrika 12, 1947): of at least as uneven a
        division of those clips, if neither system is better and the clips are independent.
      p_sources: two-sided p-value of the permutation test over sources, `permutation_test`.
      p_corrected: `p_sources`, corrected for all pairs of the comparison (`holm`).
    """

    first: str
    second: str
    num_runs: int
    only_first: int
    only_second: int
    accuracy: float
    low: float | None
    high: float | None
    p_clips: float
    p_sources: float
    p_corrected: float = float("nan")


def compare_pairs(groups: Sequence[SystemRuns]) -> list[Difference]:
    """Tests every two systems on the clips that both have; of a single system, every two of its runs.

    A run of one system is paired with the run of the other on the same clips: fold with fold, seed with seed.
    """
    compared = groups
    if len(groups) == 1:
        compared = [dataclasses.replace(groups[0], runs=[run]) for run in groups[0].runs]
    differences = []
    for first, second in itertools.combinations(compared, 2):
        if pairs := _paired_runs(first, second):
            differences.append(_difference(_name(first), _name(second), pairs))
    corrected = holm([difference.p_sources for difference in differences])
    return [
        dataclasses.replace(difference, p_corrected=p_value)
        for difference, p_value in zip(differences, corrected, strict=True)
    ]


def _name(group: SystemRuns) -> str:
    return group.runs[0].name if len(group.runs) == 1 else group.name


def _paired_runs(first: SystemRuns, second: SystemRuns) -> list[tuple[EvaluatedRun, EvaluatedRun]]:
    left = list(second.runs)
    pairs = []
    for run in first.runs:
        alike = [other for other in left if _are_comparable(run, other)]
        if not alike:
            continue
        other = next((other for other in alike if other.config["seed"] == run.config["seed"]), alike[0])
        left.remove(other)
        pairs.append((run, other))
    return pairs


def _are_comparable(first: EvaluatedRun, second: EvaluatedRun) -> bool:
    return same_clips(first, second) and have_same_classes(first, second) and not relabeled_clips(first, second)


def _difference(first: str, second: str, pairs: Sequence[tuple[EvaluatedRun, EvaluatedRun]]) -> Difference:
    by_clip = np.concatenate([_correct_differences(*pair) for pair in pairs])
    sources = [source for run, _ in pairs for source in run.predictions.sources]
    low, high = _interval(by_clip, sources)
    only_first, only_second = int((by_clip > 0).sum()), int((by_clip < 0).sum())
    _, source_of_clip = np.unique(np.asarray(sources, dtype=object), return_inverse=True)
    by_source = np.bincount(source_of_clip, weights=by_clip).astype(int)
    return Difference(
        first,
        second,
        len(pairs),
        only_first,
        only_second,
        float(by_clip.mean()),
        low,
        high,
        mcnemar(only_first, only_second),
        permutation_test(by_source),
    )


def _correct_differences(first: EvaluatedRun, second: EvaluatedRun) -> Int[np.ndarray, "clip"]:
    """For each clip of the first run 1 if only that run is correct, -1 if only the second is, else 0."""
    correct = second.predictions.labels == second.predictions.predicted
    of_second = dict(zip(second.predictions.clips, correct.tolist(), strict=True))
    of_first = first.predictions.labels == first.predictions.predicted
    return of_first.astype(int) - np.asarray([of_second[clip] for clip in first.predictions.clips], int)


def _interval(by_clip: Int[np.ndarray, "clip"], sources: Sequence[str]) -> tuple[float | None, float | None]:
    means = resampled_means(by_clip, sources, _NUM_RESAMPLES, seed=0)
    if means is None:
        return None, None
    low, high = percentiles(means)
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test; 1 where both systems classify the same clips correctly."""
    if not only_first + only_second:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def permutation_test(by_source: Int[np.ndarray, "source"]) -> float:
    """The two-sided p-value of the paired permutation test over sources.

    If neither system is better, the two may be exchanged for all clips of a source together, which changes the sign of
    that source's difference. The p-value is the share of all exchanges after which the systems differ at least as much
    (E. S. Edgington, Randomization Tests, 1980). It is exact for any number of sources: the differences are whole
    numbers, so the sums of all exchanges are counted without listing them.

    Args:
      by_source: number of clips of each source that only the first system classifies correctly, less the number of
        those that only the second does.
    """
    sizes = np.abs(by_source[by_source != 0]).tolist()
    # Of each possible sum of the differences with a positive sign, its share of all exchanges.
    shares = np.ones(1)
    for size in sizes:
        shares = (np.pad(shares, (0, size)) + np.pad(shares, (size, 0))) / 2
    differences = 2 * np.arange(len(shares)) - sum(sizes)
    return min(1.0, float(shares[np.abs(differences) >= abs(by_source.sum())].sum()))


def holm(p_values: Sequence[float]) -> Float[np.ndarray, "test"]:
    """Corrects the p-values of several tests: the level is then the risk of one false finding or more among all.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979: the
    smallest of m p-values is multiplied by m, the next by m - 1, and so on, and none becomes less than one before it.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * np.asarray(p_values, float)[order]))
    return corrected
