"""Early stopping: whether a run still improves, decided from its evaluations alone.

As with the activations (`jaxvid.train.adaptation`), a pure function of the history decides. A resumed run therefore
decides as an uninterrupted one, and one that stopped early continues when its patience is raised.
"""

from collections.abc import Sequence

import numpy as np


def stops_early(values: Sequence[float], patience: int, *, lower_is_better: bool) -> bool:
    """Whether the last `patience` evaluations, or more, have brought no new best value.

    The same as `keras.callbacks.EarlyStopping`: with patience 2, the second evaluation in a row without improvement is
    the last one. An equal value is no improvement, and NaN is worse than any number.

    Args:
      values: of the monitored metric, one for each evaluation so far, in their order.
      patience: number of evaluations; 0 for never.
      lower_is_better: whether the metric should fall.
    """
    if not patience or not values:
        return False
    losses = np.asarray(values, float) * (1 if lower_is_better else -1)
    best = int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))
    return len(values) - 1 - best >= patience
