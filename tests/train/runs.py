"""What the tests of whole runs share."""

from jaxvid import checkpoint
from jaxvid.metrics.table import MONITORED
from jaxvid.train import validation
from jaxvid.train.logbook import read_rows


def final_variables(workdir, config):
    with checkpoint.open_checkpoints(workdir, config.eval.monitor) as checkpoints:
        step = checkpoint.resolve_step(checkpoints, "last")
        return step, checkpoint.restore_variables(checkpoints, step)


def set_validation_losses(monkeypatch, losses):
    """Gives the validations of a run these losses, one after another."""
    remaining = iter(losses)

    def values(*_):
        return {metric.name: 0.0 for metric in MONITORED} | {"loss": next(remaining)}

    monkeypatch.setattr(validation, "point_values", values)


def validation_losses(workdir):
    return [row["val_loss"] for row in read_rows(workdir) if "val_loss" in row]


def adaptive(config, **policy):
    config.model.update(activation="relu", adaptive=True)
    config.activations.update(policy="random", trigger="epochs", at_epochs=(1, 2), **policy)
    config.train.num_epochs = 3
    return config
