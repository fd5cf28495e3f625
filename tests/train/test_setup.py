import pytest

from jaxvid.train.setup import number_of_steps, set_up


def test_steps_of_a_run_by_hand(config):
    config.optimizer.update(learning_rate=1.0, schedule="cosine", accumulate_steps=2)
    config.train.num_epochs = 4
    config.eval.every_epochs = 3
    run = set_up(config)
    # 16 clips in batches of 8; 8 steps make 4 updates, at the rates of half a cosine.
    assert (run.steps_per_epoch, run.num_steps, run.eval_every) == (2, 8, 6)
    rates = [run.learning_rate(step) for step in range(1, 9)]
    assert rates == pytest.approx([1, 1, 0.853553, 0.853553, 0.5, 0.5, 0.146447, 0.146447], rel=1e-5)


def test_steps_win_over_epochs(config):
    config.train.update(num_epochs=4, num_steps=5)
    assert number_of_steps(config.train, steps_per_epoch=2) == 5
