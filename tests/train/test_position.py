import json

import jax
import numpy as np
import pytest

from jaxvid import checkpoint, parallel
from jaxvid.train.loop import train
from jaxvid.train.signals import Interrupted
from tests.tiny import interrupt_after
from tests.train.runs import adaptive, final_variables, set_validation_losses, validation_losses


@pytest.mark.slow
def test_a_run_that_stopped_early_continues_with_more_patience_as_if_it_had_had_it(config, tmp_path, monkeypatch):
    losses = [0.5, 0.6, 0.7, 0.4, 0.5, 0.6, 0.7]
    config.train.update(num_epochs=20, early_stopping_patience=3)
    set_validation_losses(monkeypatch, losses)
    train(config, tmp_path / "patient")
    assert validation_losses(tmp_path / "patient") == losses

    set_validation_losses(monkeypatch, losses)
    for patience, count in ((1, 2), (1, 2), (3, 7)):
        config.train.early_stopping_patience = patience
        train(config, tmp_path / "resumed")
        assert validation_losses(tmp_path / "resumed") == losses[:count]
    (_, patient), (_, resumed) = (final_variables(tmp_path / name, config) for name in ("patient", "resumed"))
    jax.tree.map(np.testing.assert_array_equal, patient, resumed)


@pytest.mark.parametrize("monitor", ["val_loss", "val_macro_f1"])
def test_checkpoints_of_earlier_versions_stop_and_continue_likewise(config, tmp_path, monkeypatch, monitor):
    config.train.update(num_epochs=4, early_stopping_patience=1)
    config.eval.monitor = monitor
    set_validation_losses(monkeypatch, [0.5, 0.6, 0.4, 0.3])
    save = checkpoint.save

    def save_as_earlier(checkpoints, state, *, loop, metrics=None):
        evaluations = [{k: v for k, v in e.items() if k != "monitored"} for e in loop["evaluations"]]
        stopping = {"best_metric": 0.5, "patience_count": 1, "should_stop": True}
        loop = {"batches": loop["batches"], "stopping": stopping, "evaluations": evaluations}
        save(checkpoints, state, loop=loop, metrics=metrics)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_as_earlier)
        train(config, tmp_path)
    for patience, count in ((1, 2), (2, 4 if monitor == "val_loss" else 3)):
        config.train.early_stopping_patience = patience
        train(config, tmp_path)
        assert len(validation_losses(tmp_path)) == count


def coefficients(variables):
    return [leaf.tolist() for leaf in jax.tree.leaves(variables["activations"])]


@pytest.mark.slow
@pytest.mark.parametrize("step_of_signal", [2, 3])
def test_a_resumed_run_changes_the_same_activations(config, tmp_path, monkeypatch, step_of_signal):
    adaptive(config, scope="per_site")
    train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, step_of_signal)
        with pytest.raises(Interrupted):
            train(config, tmp_path / "resumed")
    train(config, tmp_path / "resumed")
    (_, whole), (_, resumed) = (final_variables(tmp_path / name, config) for name in ("whole", "resumed"))
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    # The two sites no longer share one function, and neither is what it was.
    assert len({tuple(values) for values in coefficients(whole)}) > 1
    changes = [(tmp_path / name / "activation_changes.jsonl").read_text() for name in ("whole", "resumed")]
    assert changes[0] == changes[1]
    assert [json.loads(line)["step"] for line in changes[0].splitlines()] == [2, 4]


@pytest.mark.slow
def test_a_change_begins_from_the_best_weights_where_that_is_asked_for(config, tmp_path, monkeypatch):
    adaptive(config, return_to_best=True)
    config.activations.at_epochs = (2,)
    config.optimizer.ema_decay = 0.5
    set_validation_losses(monkeypatch, [0.5, 0.9, 0.8])
    seen = {}
    over_devices = parallel.over_devices

    def recorded(step, num_devices):
        on_devices = over_devices(step, num_devices)

        def call(state, batch):
            seen[int(state.step)] = jax.tree.map(np.asarray, (state.params, state.average))
            return on_devices(state, batch)

        return call

    monkeypatch.setattr(parallel, "over_devices", recorded)
    train(config, tmp_path)
    # After the first two steps came the best evaluation, after the second two the change: of the average too.
    jax.tree.map(np.testing.assert_array_equal, seen[4], seen[2])
    assert not np.array_equal(*(jax.tree.leaves(seen[step])[0] for step in (3, 4)))


@pytest.mark.slow
def test_a_sequence_that_has_ended_ends_the_run(config, tmp_path, monkeypatch):
    adaptive(config)
    config.activations.update(policy="sequence", trigger="rise", pool=("elu", "relu"))
    config.train.num_epochs = 9
    set_validation_losses(monkeypatch, [0.5, 0.6, 0.7, 0.8, 0.1])
    train(config, tmp_path)
    (change,) = map(json.loads, (tmp_path / "activation_changes.jsonl").read_text().splitlines())
    assert (change["from"], change["to"], change["epoch"]) == ("elu", "relu", 2.0)
    assert (change["before"]["loss"], change["next"]["loss"], change["best"]["loss"]) == (0.6, 0.7, 0.7)
    step, variables = final_variables(tmp_path, config)
    assert step == 4 * 2
    assert coefficients(variables) == [[0.0, 0.0, 1.0, np.inf]] * len(coefficients(variables))
