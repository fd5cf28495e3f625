import jax.numpy as jnp
import pytest
from tqdm import tqdm

from jaxvid.train.step_metrics import NonFiniteError, StepMetrics


def metrics(loss, accuracy=0.5):
    return {"loss": jnp.float32(loss), "accuracy": jnp.float32(accuracy)}


def test_means_are_over_the_steps_since_the_last_call(monkeypatch):
    seconds = iter([0.0, 2.0, 3.0])
    monkeypatch.setattr("jaxvid.train.step_metrics.time.perf_counter", lambda: next(seconds))
    recent = StepMetrics(tqdm(disable=True), clips_per_step=8)
    for step, loss in enumerate([1.0, 2.0, 6.0], start=1):
        recent.add(step, metrics(loss))
    # 3 steps of 8 clips in 2 seconds.
    assert recent.means() == {"train_loss": 3.0, "train_accuracy": 0.5, "clips_per_second": 12.0}
    recent.add(4, metrics(5.0, 1.0))
    assert recent.means() == {"train_loss": 5.0, "train_accuracy": 1.0, "clips_per_second": 8.0}


def test_time_of_other_work_does_not_count(monkeypatch):
    seconds = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr("jaxvid.train.step_metrics.time.perf_counter", lambda: next(seconds))
    recent = StepMetrics(tqdm(disable=True), clips_per_step=8)
    recent.add(1, metrics(1.0))
    with recent.paused():
        pass
    assert recent.means()["clips_per_second"] == 4.0


def test_a_step_that_is_not_finite_is_named():
    recent = StepMetrics(tqdm(disable=True), clips_per_step=8)
    recent.add(1, metrics(1.0))
    recent.add(2, metrics(float("nan")))
    with pytest.raises(NonFiniteError, match="step 2 is not finite .accuracy 0.5, loss nan"):
        recent.require_finite()


def test_steps_of_one_call_count_each(monkeypatch):
    seconds = iter([0.0, 2.0])
    monkeypatch.setattr("jaxvid.train.step_metrics.time.perf_counter", lambda: next(seconds))
    recent = StepMetrics(tqdm(disable=True), clips_per_step=8)
    recent.add(3, {"loss": jnp.asarray([1.0, 2.0, 6.0]), "accuracy": jnp.asarray([0.5, 0.5, 0.5])})
    recent.add(4, metrics(3.0))
    # 4 steps of 8 clips in 2 seconds.
    assert recent.means() == {"train_loss": 3.0, "train_accuracy": 0.5, "clips_per_second": 16.0}
    recent.add(7, {"loss": jnp.asarray([1.0, jnp.inf, jnp.nan]), "accuracy": jnp.asarray([0.5, 0.5, 0.5])})
    with pytest.raises(NonFiniteError, match="step 6 is not finite .accuracy 0.5, loss inf"):
        recent.require_finite()
