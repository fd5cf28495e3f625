"""A trained run for the tests of prediction."""

import optax
import pytest

from jaxvid import checkpoint
from jaxvid.config import save_config
from jaxvid.models.create import module_from_config
from jaxvid.steps import create_state, initial_variables
from tests.tiny import tiny_config


def prediction_config():
    config = tiny_config("")
    config.model.num_classes = 2
    config.dataset.update(class_names=("no_fight", "fight"), frame_size=(32, 32), clip_seconds=1.0, fps=10.0)
    return config


@pytest.fixture(scope="session")
def workdir(tmp_path_factory):
    """The workdir of a run that saved its initial checkpoint."""
    config, directory = prediction_config(), tmp_path_factory.mktemp("run")
    save_config(config, directory)
    state = create_state(initial_variables(module_from_config(config.model), config.clip, 0), optax.sgd(0.1))
    checkpoints = checkpoint.open_checkpoints(directory, config.eval.monitor)
    checkpoint.save(checkpoints, state, loop={}, metrics={config.eval.monitor: 1.0})
    checkpoints.close()
    return directory
