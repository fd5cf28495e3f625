import json

import jax
import numpy as np
import psutil
import pytest

from jaxvid import checkpoint, parallel
from jaxvid.files import only_process
from jaxvid.train.logbook import read_rows
from jaxvid.train.loop import train
from jaxvid.train.sessions import read_sessions
from jaxvid.train.signals import Interrupted
from jaxvid.train.step_metrics import NonFiniteError, StepMetrics
from tests.tiny import interrupt_after
from tests.train.runs import adaptive, final_variables, set_validation_losses, validation_losses


def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(config, tmp_path, monkeypatch):
    config.clip.sampling = "random_segment"
    config.augment.flip = True
    train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted, match="saved step 3 of 4"):
            train(config, tmp_path / "resumed", "first")
    assert final_variables(tmp_path / "resumed", config)[0] == 3
    train(config, tmp_path / "resumed", "second")

    step, whole = final_variables(tmp_path / "whole", config)
    step_resumed, resumed = final_variables(tmp_path / "resumed", config)
    assert step == step_resumed == 4
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)

    def metrics(workdir):
        return [{k: v for k, v in row.items() if k != "clips_per_second"} for row in read_rows(workdir)]

    assert metrics(tmp_path / "whole") == metrics(tmp_path / "resumed")
    sessions = read_sessions(tmp_path / "resumed")
    assert [(session["command"], session["step"]) for session in sessions] == [("first", 3), ("second", 4)]
    assert all(session["seconds"] > 0 for session in sessions)


def test_a_finished_run_started_again_changes_nothing(config, tmp_path):
    config.train.num_epochs = 1
    train(config, tmp_path)
    before = [(tmp_path / name).read_text() for name in ("metrics.jsonl", "sessions.jsonl")]
    train(config, tmp_path)
    assert [(tmp_path / name).read_text() for name in ("metrics.jsonl", "sessions.jsonl")] == before


def test_files_of_a_finished_run(config, tmp_path):
    train(config, tmp_path)
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
    shard_rows = parallel.shard_rows
    seen = []

    def poison(batch):
        """From the fourth training batch on, labels that are out of range make no finite loss."""
        if "label" in batch:
            seen.append(1)
            if len(seen) >= step_of_poison:
                batch = {**batch, "label": np.full_like(batch["label"], 7)}
        return shard_rows(batch)

    monkeypatch.setattr(parallel, "shard_rows", poison)
    with pytest.raises(NonFiniteError, match="step 4 is not finite"):
        train(config, tmp_path)
    step, variables = final_variables(tmp_path, config)
    assert step == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


def test_early_stopping_ends_a_run_at_the_second_evaluation_in_a_row_without_improvement(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=10, early_stopping_patience=2)
    set_validation_losses(monkeypatch, [0.5, 0.4, 0.6, 0.7, 0.1])
    train(config, tmp_path)
    assert validation_losses(tmp_path) == [0.5, 0.4, 0.6, 0.7]
    with checkpoint.open_checkpoints(tmp_path, config.eval.monitor) as checkpoints:
        assert sorted(checkpoints.all_steps()) == [4, 8]
        assert checkpoint.resolve_step(checkpoints, "best") == 4


def test_a_resumed_run_can_be_longer_if_its_learning_rate_is_constant(config, tmp_path):
    config.train.num_epochs = 1
    train(config, tmp_path)
    config.train.num_epochs = 2
    train(config, tmp_path)
    assert final_variables(tmp_path, config)[0] == 4


def test_a_resumed_run_cannot_be_longer_if_its_learning_rate_would_jump(config, tmp_path):
    config.optimizer.schedule = "cosine"
    config.train.num_epochs = 1
    train(config, tmp_path)
    before = (tmp_path / "config.json").read_text()
    config.train.num_epochs = 2
    with pytest.raises(ValueError, match="num_epochs is 2 .* makes 4 steps of a run that was started with 2"):
        train(config, tmp_path)
    assert (tmp_path / "config.json").read_text() == before
    # The same length, said in other words.
    config.train.update(num_steps=2)
    train(config, tmp_path)
    assert final_variables(tmp_path, config)[0] == 2


def test_changing_activations_compiles_nothing(config, tmp_path, caplog):
    adaptive(config, scope="per_site")
    with jax.log_compiles():
        train(config, tmp_path)
    assert len((tmp_path / "activation_changes.jsonl").read_text().splitlines()) == 2
    # Once each.
    for name in ("train_step", "eval_step"):
        assert len([r for r in caplog.records if r.getMessage().startswith(f"Compiling jit({name})")]) == 1


@pytest.mark.slow
def test_memory_of_the_host_does_not_grow_over_500_steps(config, tmp_path, monkeypatch):
    config.train.update(num_epochs=250, log_every_steps=100)
    config.eval.every_epochs = 250
    resident = {}
    add = StepMetrics.add

    def add_and_measure(self, step, metrics):
        add(self, step, metrics)
        resident[step] = psutil.Process().memory_info().rss / 2**20

    monkeypatch.setattr(StepMetrics, "add", add_and_measure)
    train(config, tmp_path)
    assert max(resident) == 500
    assert resident[500] - resident[100] < 30


def test_a_workdir_in_which_another_process_trains_is_refused(config, tmp_path):
    with only_process(tmp_path), pytest.raises(ValueError, match=f"another process is at work in {tmp_path}"):
        train(config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
