from types import SimpleNamespace

import keras
import numpy as np
import pytest

from jaxvid.train.early_stopping import stops_early


def evaluations_with_keras(values, patience, mode):
    """How many of the values Keras's early stopping lets a run evaluate."""
    callback = keras.callbacks.EarlyStopping(monitor="val", patience=patience, mode=mode)
    callback.set_model(SimpleNamespace(stop_training=False))
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val": value})
        if callback.model.stop_training:
            return epoch + 1
    return len(values)


def evaluations_here(values, patience, mode):
    for count in range(1, len(values) + 1):
        if stops_early(values[:count], patience, lower_is_better=mode == "min"):
            return count
    return len(values)


def test_training_stops_after_the_last_evaluation_of_the_patience():
    losses = [0.5, 0.4, 0.6, 0.7, 0.8]
    assert [evaluations_here(losses, patience, "min") for patience in (1, 2, 3)] == [3, 4, 5]
    assert [evaluations_with_keras(losses, patience, "min") for patience in (1, 2, 3)] == [3, 4, 5]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience", [1, 2, 3, 5])
def test_training_stops_where_keras_stops(mode, patience):
    rng = np.random.default_rng(0)
    stopped_early = 0
    for _ in range(50):
        # One digit, so that some values are equal.
        values = np.round(rng.random(12), 1).tolist()
        expected = evaluations_with_keras(values, patience, mode)
        assert evaluations_here(values, patience, mode) == expected
        stopped_early += expected < len(values)
    assert stopped_early > 10


def test_patience_of_zero_and_no_evaluation_never_stop():
    assert not stops_early([0.1, 0.2, 0.3, 0.4], 0, lower_is_better=True)
    assert not stops_early([], 1, lower_is_better=True)


def test_nan_is_no_improvement_and_any_number_improves_on_it():
    nan = float("nan")
    assert stops_early([0.5, nan, nan], 2, lower_is_better=True)
    assert not stops_early([nan, nan, 0.5], 2, lower_is_better=False)


def test_a_larger_patience_continues_a_run_that_stopped():
    losses = [0.5, 0.6, 0.7]
    assert stops_early(losses, 2, lower_is_better=True)
    assert not stops_early(losses, 4, lower_is_better=True)
    assert stops_early([*losses, 0.6, 0.5], 4, lower_is_better=True)
