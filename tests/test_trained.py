import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid import checkpoint, parallel, trained
from jaxvid.config import load_config, save_config
from jaxvid.models.create import module_from_config
from jaxvid.steps import create_state, eval_step, initial_variables
from jaxvid.train.optimizer import create_optimizer, create_schedule


@pytest.fixture
def workdir(config, tmp_path):
    """A workdir with checkpoints of steps 1 and 2, of which step 1 has the lower validation loss."""
    config.model.num_classes = 2
    config.dataset.update(class_names=("no_fight", "fight"), frame_size=(64, 64))
    save_config(config, tmp_path)
    optimizer = create_optimizer(config.optimizer, create_schedule(config.optimizer, 1), "head")
    with checkpoint.open_checkpoints(tmp_path, "val_loss") as checkpoints:
        for step in (1, 2):
            variables = initial_variables(module_from_config(config.model), config.clip, seed=step)
            state = create_state(variables, optimizer).replace(step=np.int32(step))
            checkpoint.save(checkpoints, parallel.replicate(state), loop={}, metrics={"val_loss": float(step)})
    return tmp_path


@pytest.mark.parametrize(("which", "step"), [("best", 1), ("last", 2), ("2", 2)])
def test_a_checkpoint_classifies_as_its_model_with_its_variables(workdir, which, step):
    run = trained.load(workdir, which)
    assert run.step == step
    assert run.config == load_config(workdir)
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 64, 64, 3), np.uint8)
    model = module_from_config(run.config.model)
    variables = initial_variables(model, run.config.clip, seed=step)
    expected = eval_step(variables, {"frames": jnp.asarray(frames)}, model=model, config=run.config)
    outputs = run.probabilities(run.variables, {"frames": frames})
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_another_config_changes_the_views(workdir):
    frames = np.random.default_rng(0).integers(0, 256, (1, 4, 48, 64, 3), np.uint8)
    config = load_config(workdir)
    config.clip.crop = "center"
    config.eval.crops = 3
    run = trained.load(workdir, "best", config=config)
    outputs = run.probabilities(run.variables, {"frames": frames})
    expected = eval_step(run.variables, {"frames": jnp.asarray(frames)}, model=run.model, config=config)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    config.eval.crops = 1
    assert not np.allclose(
        eval_step(run.variables, {"frames": jnp.asarray(frames)}, model=run.model, config=config), expected
    )


def test_a_missing_run_or_checkpoint_is_named(workdir, tmp_path):
    with pytest.raises(ValueError, match="no workdir of a training run"):
        trained.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no checkpoint '7'; allowed: best, last, 1, 2"):
        trained.load(workdir, "7")


def test_reading_leaves_alone_what_a_training_process_is_writing(workdir):
    unfinished = workdir / checkpoint.DIRECTORY / "3.orbax-checkpoint-tmp"
    unfinished.mkdir()
    assert trained.load(workdir, "last").step == 2
    assert checkpoint.find_step(workdir, "val_loss", "best") == 1
    assert unfinished.is_dir()
