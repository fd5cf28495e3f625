"""Several steps in one compiled call (`pipeline.steps_per_call`) against one step a call."""

import json

import jax
import numpy as np
import pytest

from jaxvid import parallel
from jaxvid.train import resident
from jaxvid.train.checks import check_config
from jaxvid.train.logbook import read_rows
from jaxvid.train.loop import train
from jaxvid.train.resident import with_resident_frames
from jaxvid.train.setup import Run, set_up
from jaxvid.train.signals import Interrupted
from jaxvid.train.step_metrics import NonFiniteError
from tests.tiny import interrupt_after
from tests.train.runs import adaptive, final_variables


@pytest.fixture
def config(config):
    """Twelve steps, four to an epoch, whose activations change after the fourth and the eighth one."""
    adaptive(config, scope="per_site")
    config.clip.sampling = "random_segment"
    config.augment.flip = True
    config.optimizer.update(ema_decay=0.9, accumulate_steps=2)
    config.train.update(batch_size=4, log_every_steps=3)
    config.checkpoint.every_steps = 7
    return config


def in_calls_of_three(config):
    config.pipeline.update(resident="true", steps_per_call=3)
    return config


def recorded_calls(monkeypatch):
    """The numbers of steps of the calls of all runs that follow."""
    counts, next_batches = [], Run.next_batches

    def record(self, count):
        counts.append(count)
        return next_batches(self, count)

    monkeypatch.setattr(Run, "next_batches", record)
    return counts


def logged(workdir):
    return [{key: row[key] for key in row if key != "clips_per_second"} for row in read_rows(workdir)]


def changes(workdir):
    return [json.loads(line) for line in (workdir / "activation_changes.jsonl").read_text().splitlines()]


def test_calls_of_several_steps_compute_the_same_bits_also_resumed(config, tmp_path, monkeypatch):
    train(config, tmp_path / "one")
    counts = recorded_calls(monkeypatch)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted, match="saved step 3 of 12"):
            train(in_calls_of_three(config), tmp_path / "three")
    assert counts == [3]
    train(config, tmp_path / "three")
    # Evaluated after 4, 8 and 12, logged after 6 and 9, saved after 7 too.
    assert counts == [3, 1, 1, 1, 1, 1, 1, 3]
    assert [row["step"] for row in logged(tmp_path / "one")] == [3, 4, 6, 8, 9, 12, 12]
    assert logged(tmp_path / "three") == logged(tmp_path / "one")
    assert changes(tmp_path / "three") == changes(tmp_path / "one")
    assert {row["step"] for row in changes(tmp_path / "one")} == {4, 8}
    (step, variables), (last, expected) = (final_variables(tmp_path / name, config) for name in ("three", "one"))
    assert step == last == 12
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def test_a_step_within_a_call_that_is_not_finite_is_named(config, tmp_path, monkeypatch):
    shard_steps, calls = parallel.shard_steps, []

    def poison(batches):
        """The second call is of steps 10 to 12: labels that are out of range in the second of its batches."""
        calls.append(len(batches))
        if len(calls) == 2:
            batches[1]["label"][:] = 7
        return shard_steps(batches)

    monkeypatch.setattr(parallel, "shard_steps", poison)
    with pytest.raises(NonFiniteError, match="step 11 is not finite"):
        train(in_calls_of_three(config), tmp_path)
    step, variables = final_variables(tmp_path, config)
    assert step == 8
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables["params"]))


def test_data_that_does_not_fit_is_streamed_one_step_a_call(config, monkeypatch):
    config.pipeline.update(resident="auto", steps_per_call=3)
    check_config(config)
    monkeypatch.setattr(resident, "largest_resident", lambda: 0.0)
    run = with_resident_frames(set_up(config))
    assert [list(steps) for steps in run.calls(9)] == [[10], [11], [12]]


@pytest.mark.parametrize(
    ("resident", "count", "message"),
    [
        ("false", 3, "config.pipeline.steps_per_call is 3; allowed with pipeline.resident 'false': 1"),
        ("true", 0, "config.pipeline.steps_per_call is 0; allowed: 1 or more"),
    ],
)
def test_several_steps_of_streamed_data_and_none_are_refused(config, resident, count, message):
    config.pipeline.update(resident=resident, steps_per_call=count)
    with pytest.raises(ValueError, match=message):
        check_config(config)
