"""Training on two processes, as on two hosts, against training in this one."""

import json

import jax
import ml_collections
import numpy as np
import pytest

from jaxvid.evaluate.evaluate import evaluate
from jaxvid.train.logbook import read_rows
from jaxvid.train.loop import train
from tests.several import ended, free_port, start
from tests.train.runs import final_variables

INTERRUPTED, KILLED = 143, -9


@pytest.fixture
def on_two_processes(tmp_path):
    """A call that runs the training command on one process or two; `signals` are of the last one."""

    def run(config, workdir, count=2, signal="-"):
        file = tmp_path / "config.py"
        values = f"ml_collections.ConfigDict({config.to_dict()})"
        file.write_text(f"import ml_collections\n\n\ndef get_config(_=None):\n    return {values}\n")
        flags = [f"--config={file}", f"--workdir={workdir}"]
        several = [f"--coordinator=localhost:{free_port()}", f"--num_processes={count}"] if count > 1 else []
        cache = {
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        processes = []
        for number in range(count):
            own = [*several, f"--process_id={number}"] if several else []
            of_process = signal if number == count - 1 else "-"
            processes.append(start("-m", "tests.training_process", of_process, *flags, *own, **cache))
        return ended(*processes)

    return run


def statuses(results):
    for _, _, errors in results:
        assert "Traceback" not in errors, errors[-3000:]
        assert "Check failure" not in errors, errors[-3000:]
    return [status for status, _, _ in results]


def last_saved(workdir):
    # What was being written when a process died has another name.
    return max(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())


def assert_same_run(workdir, reference, config):
    for row, expected in zip(read_rows(workdir), read_rows(reference), strict=True):
        for other in (row, expected):
            other.pop("clips_per_second", None)
        # Two clips that are nearly equally probable may change places, one of 16 pairs.
        for area in ("val_roc_auc", "val_average_precision"):
            assert row.pop(area, 0) == pytest.approx(expected.pop(area, 0), abs=1 / 16)
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)
    (step, variables), (last, of_reference) = (final_variables(path, config) for path in (workdir, reference))
    assert step == last
    for one, other in zip(jax.tree.leaves(variables), jax.tree.leaves(of_reference), strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-3, atol=5e-4)
    metrics, expected = (json.loads((path / "metrics.json").read_text()) for path in (workdir, reference))
    assert metrics["num_clips"] == expected["num_clips"] == 8
    assert metrics["loss"]["value"] == pytest.approx(expected["loss"]["value"], rel=1e-2)
    return metrics, expected


@pytest.mark.slow
def test_a_run_on_two_processes_stops_dies_and_resumes_on_one_and_on_two(config, on_two_processes, tmp_path):
    config.model.update(activation="relu", adaptive=True)
    config.activations.update(policy="random", trigger="epochs", at_epochs=(1, 3), return_to_best=True)
    # Adam would make large steps of the rounding errors of biases before a batch norm, whose gradient is zero.
    config.optimizer.update(name="sgd", learning_rate=1e-2)
    config.train.update(num_epochs=6, log_every_steps=2)
    config.seed = 1
    config.eval.calibration = "temperature"
    workdir, reference = tmp_path / "two", tmp_path / "one"
    train(config, reference)
    evaluate(reference)
    in_calls_of_two = config.copy_and_resolve_references()
    in_calls_of_two.pipeline.update(resident="true", steps_per_call=2)

    # SIGTERM on the second host.
    assert statuses(on_two_processes(in_calls_of_two, workdir, signal="2:SIGTERM")) == [INTERRUPTED, INTERRUPTED]
    stopped = last_saved(workdir)
    assert stopped in (2, 4, 6)
    # The second host dies.
    (status, _, errors), (killed, _, _) = on_two_processes(config, workdir, signal="9:SIGKILL")
    assert (status, killed) == (1, KILLED)
    assert "error: process 1 on " in errors
    assert " died: killed, out of memory, or cut off from the network; start all again to resume" in errors
    assert stopped <= last_saved(workdir) <= 8
    # One process resumes what two saved, and two what one saved.
    assert statuses(on_two_processes(config, workdir, count=1, signal="10:SIGTERM")) == [INTERRUPTED]
    assert last_saved(workdir) == 10
    assert statuses(on_two_processes(in_calls_of_two, workdir)) == [0, 0]

    metrics, expected = assert_same_run(workdir, reference, config)
    temperatures = [of["calibration"]["temperature"] for of in (metrics, expected)]
    assert temperatures[0] == pytest.approx(temperatures[1], rel=0.02)
    changes = [(path / "activation_changes.jsonl").read_text().splitlines() for path in (workdir, reference)]
    first, second = ([(row["step"], row["to"]) for row in map(json.loads, lines)] for lines in changes)
    assert first == second
    assert len(first) == 2


def stored_rows(store):
    """The features of a store by the names of their rows; a row that was computed twice fails."""
    rows = {}
    for chunk in store.glob("*/chunk-*"):
        names = json.loads((chunk / "rows.json").read_text())
        assert not rows.keys() & set(names)
        rows |= dict(zip(names, np.load(chunk / "features.npy").astype(np.float32), strict=True))
    return rows


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_backbone")
def test_two_processes_share_the_features_of_a_frozen_backbone_and_stop_early_together(
    config, on_two_processes, tmp_path
):
    config.clip.update(num_frames=2, normalization="raw")
    config.augment.flip = True
    config.model = ml_collections.ConfigDict(
        {"name": "backbone_lstm", "num_classes": 0, "backbone": "tiny", "lstm_features": 8, "dense": (4,),
         "dropout_rate": 0.0, "pretrained": "", "trainable": "head"}
    )  # fmt: skip
    # A rate at which the loss rises soon.
    config.optimizer.update(name="sgd", learning_rate=2.0)
    config.train.update(num_epochs=20, cached_views=2, early_stopping_patience=2)
    config.pipeline.resident = "true"
    # Rows that do not divide evenly.
    config.eval.batch_size = 3
    workdir, reference = tmp_path / "two", tmp_path / "one"
    train(config, reference)
    evaluate(reference)
    assert read_rows(reference)[-1]["step"] < 40
    assert statuses(on_two_processes(config, workdir)) == [0, 0]

    assert_same_run(workdir, reference, config)
    rows, expected = stored_rows(workdir / "features"), stored_rows(reference / "features")
    assert rows.keys() == expected.keys()
    assert len(rows) == 16 + 16 + 8
    for name, values in rows.items():
        np.testing.assert_allclose(values, expected[name], rtol=2e-3, atol=1e-3)
    # Their stores have one name, so one process finds what two have computed, and the other way round.
    assert [path.name for path in sorted((workdir / "features").iterdir())] == [
        path.name for path in sorted((reference / "features").iterdir())
    ]
