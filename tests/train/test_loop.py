import dataclasses
import json

import jax
import numpy as np
import psutil
import pytest
import tensorflow_datasets as tfds

from jaxvid import checkpoint
from jaxvid.data.dataset import open_split
from jaxvid.metrics.table import MONITORED
from jaxvid.train import loop as train_lib
from jaxvid.train import setup
from jaxvid.train.logbook import read_rows
from jaxvid.train.signals import Interrupted
from jaxvid.train.step_metrics import NonFiniteError, StepMetrics
from tests.tiny import interrupt_after


def final_variables(workdir, config):
    with checkpoint.open_checkpoints(workdir, config.eval.monitor) as checkpoints:
        step = checkpoint.resolve_step(checkpoints, "last")
        return step, checkpoint.restore_variables(checkpoints, step)


def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(config, tmp_path, monkeypatch):
    config.clip.sampling = "random_segment"
    config.augment.flip = True
    train_lib.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted, match="saved step 3 of 4"):
            train_lib.train(config, tmp_path / "resumed")
    assert final_variables(tmp_path / "resumed", config)[0] == 3
    train_lib.train(config, tmp_path / "resumed")

    step, whole = final_variables(tmp_path / "whole", config)
    step_resumed, resumed = final_variables(tmp_path / "resumed", config)
    assert step == step_resumed == 4
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)

    def figures(workdir):
        return [{k: v for k, v in row.items() if k != "clips_per_second"} for row in read_rows(workdir)]

    assert figures(tmp_path / "whole") == figures(tmp_path / "resumed")


def test_a_finished_run_started_again_changes_nothing(config, tmp_path):
    config.train.num_epochs = 1
    train_lib.train(config, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    train_lib.train(config, tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_what_a_run_leaves(config, tmp_path):
    train_lib.train(config, tmp_path)
    rows = read_rows(tmp_path)
    assert [row["step"] for row in rows if "train_loss" in row] == [1, 2, 3, 4]
    assert [row["epoch"] for row in rows if "val_loss" in row] == [1.0, 2.0]
    assert any((tmp_path / "tensorboard").iterdir())
    saved = json.loads((tmp_path / "config.json").read_text())["config"]
    assert saved["model"]["num_classes"] == 2
    assert saved["dataset"]["class_names"] == ["no_fight", "fight"]
    assert saved["dataset"]["frame_size"] == [64, 64]
    # The clips are drawn with 8 to 12 frames, at 25 or 30 a second.
    assert 25 <= saved["dataset"]["fps"] <= 30
    assert 8 / 30 <= saved["dataset"]["clip_seconds"] <= 12 / 25
    with checkpoint.open_checkpoints(tmp_path, config.eval.monitor) as checkpoints:
        losses = {row["step"]: row["val_loss"] for row in rows if "val_loss" in row}
        assert checkpoint.resolve_step(checkpoints, "best") == min(losses, key=losses.__getitem__)
        assert checkpoint.resolve_step(checkpoints, "last") == 4
        with pytest.raises(ValueError, match="no checkpoint '77'; allowed: best, last"):
            checkpoint.resolve_step(checkpoints, "77")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(config, tmp_path, monkeypatch):
    config.train.num_epochs = 4
    step_of_poison = 4
    shard_rows = train_lib.parallel.shard_rows
    seen = []

    def poison(batch):
        """From the fourth training batch on, labels that are out of range make no finite loss."""
        if "label" in batch:
            seen.append(1)
            if len(seen) >= step_of_poison:
                batch = {**batch, "label": np.full_like(batch["label"], 7)}
        return shard_rows(batch)

    monkeypatch.setattr(train_lib.parallel, "shard_rows", poison)
    with pytest.raises(NonFiniteError, match="step 4 is not finite"):
        train_lib.train(config, tmp_path)
    step, variables = final_variables(tmp_path, config)
    assert step == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


def set_validation_losses(monkeypatch, losses):
    """Gives the validations of a run these losses, one after another."""
    remaining = iter(losses)

    def values(*_):
        return {metric.name: 0.0 for metric in MONITORED} | {"loss": next(remaining)}

    monkeypatch.setattr(setup, "point_values", values)


def validation_losses(workdir):
    return [row["val_loss"] for row in read_rows(workdir) if "val_loss" in row]


def test_early_stopping_ends_a_run_at_the_second_evaluation_in_a_row_without_improvement(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=10, early_stopping_patience=2)
    set_validation_losses(monkeypatch, [0.5, 0.4, 0.6, 0.7, 0.1])
    train_lib.train(config, tmp_path)
    assert validation_losses(tmp_path) == [0.5, 0.4, 0.6, 0.7]
    with checkpoint.open_checkpoints(tmp_path, config.eval.monitor) as checkpoints:
        assert sorted(checkpoints.all_steps()) == [4, 8]
        assert checkpoint.resolve_step(checkpoints, "best") == 4


@pytest.mark.slow
def test_a_run_that_stopped_early_continues_with_more_patience_as_if_it_had_had_it(config, tmp_path, monkeypatch):
    losses = [0.5, 0.6, 0.7, 0.4, 0.5, 0.6, 0.7]
    config.train.update(num_epochs=20, early_stopping_patience=3)
    set_validation_losses(monkeypatch, losses)
    train_lib.train(config, tmp_path / "patient")
    assert validation_losses(tmp_path / "patient") == losses

    set_validation_losses(monkeypatch, losses)
    for patience, count in ((1, 2), (1, 2), (3, 7)):
        config.train.early_stopping_patience = patience
        train_lib.train(config, tmp_path / "resumed")
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
        train_lib.train(config, tmp_path)
    for patience, count in ((1, 2), (2, 4 if monitor == "val_loss" else 3)):
        config.train.early_stopping_patience = patience
        train_lib.train(config, tmp_path)
        assert len(validation_losses(tmp_path)) == count


def test_a_resumed_run_can_be_longer_if_its_learning_rate_is_constant(config, tmp_path):
    config.train.num_epochs = 1
    train_lib.train(config, tmp_path)
    config.train.num_epochs = 2
    train_lib.train(config, tmp_path)
    assert final_variables(tmp_path, config)[0] == 4


def test_a_resumed_run_cannot_be_longer_if_its_learning_rate_would_jump(config, tmp_path):
    config.optimizer.schedule = "cosine"
    config.train.num_epochs = 1
    train_lib.train(config, tmp_path)
    before = (tmp_path / "config.json").read_text()
    config.train.num_epochs = 2
    with pytest.raises(ValueError, match="num_epochs is 2 .* makes 4 steps of a run that was started with 2"):
        train_lib.train(config, tmp_path)
    assert (tmp_path / "config.json").read_text() == before
    # The same length, said in other words.
    config.train.update(num_steps=2)
    train_lib.train(config, tmp_path)
    assert final_variables(tmp_path, config)[0] == 2


def adaptive(config, **policy):
    config.model.update(activation="relu", adaptive=True)
    config.activations.update(policy="random", trigger="epochs", at_epochs=(1, 2), **policy)
    config.train.num_epochs = 3
    return config


def coefficients(variables):
    return [leaf.tolist() for leaf in jax.tree.leaves(variables["activations"])]


@pytest.mark.slow
@pytest.mark.parametrize("step_of_signal", [2, 3])
def test_a_resumed_run_changes_the_same_activations(config, tmp_path, monkeypatch, step_of_signal):
    adaptive(config, scope="per_site")
    train_lib.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, step_of_signal)
        with pytest.raises(Interrupted):
            train_lib.train(config, tmp_path / "resumed")
    train_lib.train(config, tmp_path / "resumed")
    (_, whole), (_, resumed) = (final_variables(tmp_path / name, config) for name in ("whole", "resumed"))
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    # The two sites no longer share one function, and neither is what it was.
    assert len({tuple(values) for values in coefficients(whole)}) > 1
    changes = [(tmp_path / name / "activation_changes.jsonl").read_text() for name in ("whole", "resumed")]
    assert changes[0] == changes[1]
    assert [json.loads(line)["step"] for line in changes[0].splitlines()] == [2, 4]


def test_changing_activations_compiles_nothing(config, tmp_path, caplog):
    adaptive(config, scope="per_site")
    with jax.log_compiles():
        train_lib.train(config, tmp_path)
    assert len((tmp_path / "activation_changes.jsonl").read_text().splitlines()) == 2
    # Once each.
    for name in ("train_step", "eval_step"):
        assert len([r for r in caplog.records if r.getMessage().startswith(f"Compiling jit({name})")]) == 1


@pytest.mark.slow
def test_a_change_begins_from_the_best_weights_where_that_is_asked_for(config, tmp_path, monkeypatch):
    adaptive(config, return_to_best=True)
    config.activations.at_epochs = (2,)
    losses = iter([0.5, 0.9, 0.8])

    def values(*_):
        return {metric.name: 0.0 for metric in MONITORED} | {"loss": next(losses)}

    monkeypatch.setattr(setup, "point_values", values)
    seen = {}
    over_devices = train_lib.parallel.over_devices

    def recorded(step):
        on_devices = over_devices(step)

        def call(state, batch):
            seen[int(state.step)] = jax.tree.map(np.asarray, state.params)
            return on_devices(state, batch)

        return call

    monkeypatch.setattr(train_lib.parallel, "over_devices", recorded)
    train_lib.train(config, tmp_path)
    # After the first two steps came the best evaluation, after the second two the change.
    jax.tree.map(np.testing.assert_array_equal, seen[4], seen[2])
    assert not np.array_equal(*(jax.tree.leaves(seen[step])[0] for step in (3, 4)))


@pytest.mark.slow
def test_a_sequence_that_has_ended_ends_the_run(config, tmp_path, monkeypatch):
    adaptive(config)
    config.activations.update(policy="sequence", trigger="rise", pool=("elu", "relu"))
    config.train.num_epochs = 9
    losses = iter([0.5, 0.6, 0.7, 0.8, 0.1])

    def values(*_):
        return {metric.name: 0.5 for metric in MONITORED} | {"loss": next(losses)}

    monkeypatch.setattr(setup, "point_values", values)
    train_lib.train(config, tmp_path)
    (change,) = map(json.loads, (tmp_path / "activation_changes.jsonl").read_text().splitlines())
    assert (change["from"], change["to"], change["epoch"]) == ("elu", "relu", 2.0)
    assert (change["before"]["loss"], change["next"]["loss"], change["best"]["loss"]) == (0.6, 0.7, 0.7)
    step, variables = final_variables(tmp_path, config)
    assert step == 4 * 2
    assert coefficients(variables) == [[0.0, 0.0, 1.0, np.inf]] * len(coefficients(variables))


def test_balanced_class_weights_by_hand(config, data_dir):
    split = open_split(tfds.builder(config.dataset.name, data_dir=data_dir), "train")
    metadata = dataclasses.replace(split.metadata, labels=np.asarray([0] * 12 + [1] * 4))
    uneven = dataclasses.replace(split, metadata=metadata)
    np.testing.assert_allclose(setup.class_weights("balanced", split), [1, 1])
    np.testing.assert_allclose(setup.class_weights("balanced", uneven), [16 / 24, 16 / 8], rtol=1e-6)
    np.testing.assert_allclose(setup.class_weights("none", uneven), [1, 1])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eval.monitor", "val_los", "'val_los'; allowed: val_accuracy"),
        ("train.num_epochs", 0, "num_epochs is 0"),
        ("train.class_weights", "even", "'even'; allowed: none, balanced"),
        ("train.batch_size", 0, "batch_size is 0"),
        ("train.label_smoothing", 1.0, "label_smoothing is 1.0"),
        ("model.num_classes", 3, "has 2 classes \\(no_fight, fight\\); allowed: 2, or 0"),
        ("model.activation", "rleu", "unknown activation 'rleu'"),
        ("activations.policy", "random", "needs config.model.adaptive=True"),
        ("dataset.name", "synthetc_fight", "'synthetc_fight'"),
        ("dataset.train_split", "training", "no split 'training'"),
    ],
)
def test_bad_values_stop_a_run_before_it_writes_anything(config, tmp_path, key, value, message):
    section, name = key.split(".")
    config[section][name] = value
    with pytest.raises(ValueError, match=message):
        train_lib.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_sites_and_windows_that_do_not_exist_stop_a_run_before_it_begins(config, tmp_path):
    adaptive(config).activations.sites = ("layer4*",)
    with pytest.raises(ValueError, match="'layer4\\*', which is no site; there are: cnn/activation1"):
        train_lib.train(config, tmp_path / "run")
    config.activations.sites = ()
    config.clip.update(sampling="sliding_window", num_frames=13)
    with pytest.raises(ValueError, match="is 13; .* has 8: a sliding window longer than the clip; allowed: 1 to 8"):
        train_lib.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_memory_of_the_host_does_not_grow_over_500_steps(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=250, log_every_steps=100)
    config.eval.every_epochs = 250
    resident = {}
    add = StepMetrics.add

    def add_and_measure(self, step, figures):
        add(self, step, figures)
        resident[step] = psutil.Process().memory_info().rss / 2**20

    monkeypatch.setattr(StepMetrics, "add", add_and_measure)
    train_lib.train(config, tmp_path)
    assert max(resident) == 500
    assert resident[500] - resident[100] < 30
