import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxvid.data.dataset import open_split
from jaxvid.inference import with_views
from jaxvid.steps import TrainState
from jaxvid.train.validation import validate, validation_metrics
from tests.tiny import make_predictions, tiny_config


def test_metrics_of_windows_join_those_of_clips_only_if_there_are_several():
    config = tiny_config("nowhere")
    clips = make_predictions([0, 1], [[0.75, 0.25], [0.75, 0.25]])
    one_view = validation_metrics(with_views(clips, np.arange(2), clips.probabilities), config)
    # One of two clips is right; the loss is -(log 0.75 + log 0.25) / 2.
    assert one_view["val_accuracy"] == 0.5
    assert one_view["val_loss"] == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert not [name for name in one_view if "window" in name]

    windows = np.asarray([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5]]) * 0.5 + 0.25
    several = validation_metrics(with_views(clips, np.asarray([0, 0, 1, 1]), windows), config)
    assert several["val_accuracy"] == 0.5
    # Ties go to the first class, so that both windows of the first clip are right and none of the second.
    assert several["val_window_accuracy"] == 0.5
    assert several["val_window_loss"] == pytest.approx(-(2 * np.log(0.5) + np.log(0.75) + np.log(0.25)) / 4)


@pytest.mark.parametrize("average", [None, {"params": 3.0}])
def test_the_moving_average_is_validated_where_there_is_one(config, data_dir, average):
    seen = []

    def probabilities(variables, inputs):
        seen.append(variables)
        return jnp.full((len(inputs["frames"]), 2), 0.5)

    state = TrainState(step=1, params=2.0, model_state={"activations": 4.0}, opt_state=None, average=average)
    split = open_split(tfds.builder("synthetic_fight/tiny", data_dir=data_dir), "val")
    validate(probabilities, split, config, state)
    assert seen == [{"params": 3.0 if average else 2.0, "activations": 4.0}]
