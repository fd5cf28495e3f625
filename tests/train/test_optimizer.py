import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvid.config import base_config
from jaxvid.models.freezing import HEAD
from jaxvid.train.optimizer import check_optimizer, check_resumed_length, create_optimizer, create_schedule


def optimizer_config(**values):
    config = base_config().optimizer
    config.update(values)
    return config


def test_cosine_with_warm_up_by_hand():
    schedule = create_schedule(optimizer_config(learning_rate=1.0, schedule="cosine", warmup_fraction=0.2), 100)
    rates = [float(schedule(step)) for step in (0, 10, 20, 60, 100)]
    np.testing.assert_allclose(rates, [0.0, 0.5, 1.0, 0.5, 0.0], atol=1e-6)


def test_steps_by_hand():
    config = optimizer_config(
        learning_rate=1.0, schedule="steps", warmup_fraction=0.1, decay_at=(0.5, 0.75), decay_factor=0.1
    )
    schedule = create_schedule(config, 100)
    rates = [float(schedule(step)) for step in (5, 10, 49, 51, 74, 76, 99)]
    np.testing.assert_allclose(rates, [0.5, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01], rtol=1e-5)


def test_accumulation_stretches_the_schedule_over_the_updates():
    schedule = create_schedule(optimizer_config(learning_rate=1.0, schedule="cosine", accumulate_steps=4), 100)
    np.testing.assert_allclose(schedule(25), 0.0, atol=1e-6)


def update_once(config, params, grads, steps=1):
    optimizer = create_optimizer(config, create_schedule(config, 10), HEAD)
    state = optimizer.init(params)
    for _ in range(steps):
        changes, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, changes)
    return params


def test_clipping_bounds_the_norm_of_a_step():
    config = optimizer_config(name="sgd", momentum=0.0, learning_rate=1.0, clip_norm=1.0)
    params = update_once(config, jnp.zeros(2), jnp.asarray([30.0, 40.0]))
    np.testing.assert_allclose(params, [-0.6, -0.8], rtol=1e-6)


def test_accumulated_gradients_make_one_update_of_their_mean():
    config = optimizer_config(name="sgd", momentum=0.0, learning_rate=1.0, accumulate_steps=3)
    np.testing.assert_allclose(update_once(config, jnp.zeros(1), jnp.ones(1), steps=2), 0.0)
    np.testing.assert_allclose(update_once(config, jnp.zeros(1), jnp.ones(1), steps=3), -1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    # In one step Adam moves by the rate, AdamW besides by rate * decay * value, SGD by rate * (grad + decay * value).
    [("adam", 2 - 0.1), ("adamw", 2 - 0.1 - 0.1 * 0.5 * 2), ("sgd", 2 - 0.1 * (3 + 0.5 * 2))],
)
def test_one_step_of_each_optimizer_by_hand(name, expected):
    decay = 0.0 if name == "adam" else 0.5
    config = optimizer_config(name=name, learning_rate=0.1, momentum=0.0, weight_decay=decay)
    np.testing.assert_allclose(update_once(config, jnp.asarray([2.0]), jnp.asarray([3.0])), [expected], rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "adma"}, "'adma'; allowed: adam, adamw, sgd"),
        ({"schedule": "linear"}, "'linear'; allowed: constant, cosine, steps"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"accumulate_steps": 0}, "accumulate_steps is 0"),
        ({"weight_decay": 0.1}, "weight_decay needs name 'adamw' or 'sgd'"),
        ({"decay_at": (0.5, 1.5)}, "decay_at is"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; allowed: 0 .no moving average. to below 1"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        check_optimizer(optimizer_config(**values))


@pytest.mark.parametrize(("schedule", "warmup_fraction"), [("cosine", 0.0), ("steps", 0.0), ("constant", 0.1)])
def test_another_length_on_resume_is_refused_where_the_learning_rate_would_jump(schedule, warmup_fraction):
    config = base_config()
    config.optimizer.update(learning_rate=1.0, schedule=schedule, warmup_fraction=warmup_fraction)
    config.train.num_epochs = 20
    rates = [[float(create_schedule(config.optimizer, n)(step)) for step in range(100)] for n in (100, 200)]
    assert rates[0] != rates[1]
    check_resumed_length(config, 100, 100)
    message = (
        "config.train.num_epochs is 20 .* 200 steps of a run that was started with 100: .* "
        f"config.optimizer.schedule is '{schedule}' and warmup_fraction {warmup_fraction:g}; allowed"
    )
    with pytest.raises(ValueError, match=message):
        check_resumed_length(config, 100, 200)


def test_another_length_on_resume_is_allowed_where_the_learning_rate_is_constant():
    config = base_config()
    rates = [[float(create_schedule(config.optimizer, n)(step)) for step in range(100)] for n in (100, 200)]
    assert rates[0] == rates[1]
    check_resumed_length(config, 100, 200)
