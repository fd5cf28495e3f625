import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvid import parallel
from jaxvid.evaluate.evaluate import evaluate
from jaxvid.train.loop import train
from tests.tiny import tiny_config


def convolved(kernel, frames):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return kernel, jax.lax.conv_general_dilated(frames, kernel, (1, 1), "SAME", dimension_numbers=dimensions)


@pytest.fixture
def fresh_options():
    parallel.compiler_options.cache_clear()
    yield
    parallel.compiler_options.cache_clear()


def test_convolutions_on_the_cpu_do_not_use_the_single_threaded_library():
    shapes = jax.ShapeDtypeStruct((3, 3, 16, 32), jnp.float32), jax.ShapeDtypeStruct((4, 32, 32, 16), jnp.float32)
    program = parallel.over_devices(convolved).lower(*shapes).compile().as_text()
    assert " convolution(" in program
    assert "ynn" not in program


@pytest.mark.usefixtures("fresh_options")
def test_options_unknown_to_xla_are_left_out(monkeypatch):
    monkeypatch.setattr(parallel, "_FUSIONS", ("OF_ANOTHER_RELEASE",))
    assert parallel.compiler_options() == {}


def eight_devices(program):
    """Runs a program that prints one line of JSON in a process with eight devices; returns what it printed."""
    flags = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_as_many_devices_share_a_batch_as_divide_it():
    counts, _ = eight_devices(
        "import json; from jaxvid.parallel import count_sharing; "
        "print(json.dumps([count_sharing(size) for size in (1, 4, 6, 7, 8, 9, 12, 16)]))"
    )
    assert counts == [1, 4, 6, 7, 8, 3, 6, 8]
    assert parallel.count_sharing(7) == 1
    with pytest.raises(ValueError, match="^a batch has 0 rows; allowed: 1 or more$"):
        parallel.count_sharing(0)


def test_several_processes_need_a_batch_that_all_devices_share(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert parallel.count_sharing(16) == 8
    with pytest.raises(ValueError, match="8 devices of 2 processes cannot share a batch of 4 rows"):
        parallel.count_sharing(4)


def train_in_batches_of_six(workdir, data_dir, resident="false", steps_per_call=1):
    """Trains and evaluates with batches of six; returns the rows of the logbook and the probabilities."""
    config = tiny_config(data_dir)
    config.pipeline.update(resident=resident, steps_per_call=steps_per_call)
    # An epoch.
    config.train.update(batch_size=6, log_every_steps=3)
    config.eval.batch_size = 3
    config.eval.every_epochs = 1
    train(config, Path(workdir))
    evaluate(Path(workdir))
    rows = [json.loads(line) for line in (Path(workdir) / "metrics.jsonl").read_text().splitlines()]
    table = np.genfromtxt(Path(workdir) / "predictions.csv", delimiter=",", skip_header=1)
    return [{key: row[key] for key in row if key != "clips_per_second"} for row in rows], table[:, -2:].tolist()


@pytest.mark.slow
def test_a_batch_of_six_gives_the_same_numbers_on_one_device_and_six_of_eight(tmp_path, data_dir):
    # The eight devices hold all frames (`pipeline.resident`), and take three steps a call; the one gets them from the
    # stream.
    (rows_of_six, table_of_six), log = eight_devices(
        "import json; from absl import logging; logging.use_absl_handler(); "
        "from tests.test_parallel import train_in_batches_of_six as run; "
        f"print(json.dumps(run({str(tmp_path / 'eight')!r}, {str(data_dir)!r}, 'true', 3)))"
    )
    assert "Training on 6 of 8 devices: config.train.batch_size is 6; multiples of 8 use all devices" in log
    rows, table = train_in_batches_of_six(tmp_path / "one", data_dir)
    for row, row_of_six in zip(rows, rows_of_six, strict=True):
        assert row == pytest.approx(row_of_six, rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(table, table_of_six, rtol=1e-3)


def test_in_batches_gives_a_row_for_every_row():
    double = parallel.over_local_devices(lambda factor, rows: factor * rows["x"])
    rows = {"x": np.arange(14, dtype=np.float32).reshape(7, 2)}
    outputs = list(parallel.in_batches(lambda batch: double(2.0, batch), rows, 3))
    assert [len(rows) for rows in outputs] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(outputs), 2 * rows["x"])
