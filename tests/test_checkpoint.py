import contextlib
import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import optax
from orbax.checkpoint._src.futures import future

from jaxvid import checkpoint
from jaxvid.steps import create_state


def test_a_wall_clock_that_is_put_forward_while_a_checkpoint_is_written_costs_nothing(tmp_path, monkeypatch):
    """Orbax counts the seconds of the writing by it."""
    hours = itertools.count(0, 6 * 3600)
    monkeypatch.setattr(future, "time", SimpleNamespace(time=lambda: float(next(hours))))
    state = create_state({"params": {"kernel": jnp.ones(3)}}, optax.sgd(0.1))
    with contextlib.closing(checkpoint.open_checkpoints(tmp_path, "val_loss")) as checkpoints:
        checkpoint.save(checkpoints, state, loop={}, metrics={"val_loss": 0.5})
        checkpoints.wait_until_finished()
        assert checkpoint.resolve_step(checkpoints, "best") == 0
    assert next(hours) > 6 * 3600
