"""Metrics of recent training steps, fetched from the device a little later than they are computed."""

import collections
import contextlib
import math
import time
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from tqdm import tqdm

# Metrics by name, still on the device: of a step, or stacked of the steps of one call.
DeviceMetrics = Mapping[str, jax.Array]

# Number of calls that may run on the device while the host reads the metrics of earlier ones and prepares batches.
_CALLS_IN_FLIGHT = 2


class NonFiniteError(FloatingPointError):
    """The loss or its gradient is NaN or infinite."""


class StepMetrics:
    """Collects metrics without making the device wait for the host, and raises at the first that is not finite."""

    def __init__(self, bar: tqdm, clips_per_step: int):
        """Shows loss and accuracy in `bar`, which counts the steps."""
        self._bar = bar
        self._clips_per_step = clips_per_step
        self._pending: collections.deque[tuple[int, DeviceMetrics]] = collections.deque()
        self._fetched: list[dict[str, float]] = []
        self._since = time.perf_counter()

    def add(self, step: int, metrics: DeviceMetrics) -> None:
        """Adds the metrics of `step`, or of several steps of which it is the last.

        Raises:
          NonFiniteError: if those of an earlier step are not finite.
        """
        self._pending.append((step, metrics))
        while len(self._pending) > _CALLS_IN_FLIGHT:
            self._fetch()

    def require_finite(self) -> None:
        """Waits for all steps added.

        Raises:
          NonFiniteError: if the metrics of one are not finite.
        """
        while self._pending:
            self._fetch()

    def means(self) -> dict[str, float]:
        """Returns the means over all steps added since the last call, as `train_<name>`, and `clips_per_second`."""
        self.require_finite()
        now = time.perf_counter()
        count = len(self._fetched)
        means = {f"train_{name}": sum(row[name] for row in self._fetched) / count for name in self._fetched[0]}
        means["clips_per_second"] = count * self._clips_per_step / (now - self._since)
        self._fetched, self._since = [], now
        return means

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the enclosed work from `clips_per_second`; first waits for all steps added."""
        self.require_finite()
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def _fetch(self) -> None:
        last, metrics = self._pending.popleft()
        rows = _rows(metrics)
        for step, row in enumerate(rows, start=last - len(rows) + 1):
            _require_finite(step, row)
        self._fetched += rows
        self._bar.update(len(rows))
        self._bar.set_postfix(loss=f"{rows[-1]['loss']:.3f}", accuracy=f"{rows[-1]['accuracy']:.2f}", refresh=False)


def _rows(metrics: DeviceMetrics) -> list[dict[str, float]]:
    """Returns the metrics of every step."""
    columns = {name: np.atleast_1d(values).tolist() for name, values in jax.device_get(dict(metrics)).items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _require_finite(step: int, row: dict[str, float]) -> None:
    if all(map(math.isfinite, row.values())):
        return
    shown = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
    raise NonFiniteError(
        f"step {step} is not finite ({shown}); the last good checkpoint is kept: "
        "try a lower config.optimizer.learning_rate, or config.optimizer.clip_norm=1"
    )
