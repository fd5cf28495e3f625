import json
import os
import socket
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start(workdir, data_dir, *options):
    """The main command on the tiny dataset, small enough for a test."""
    command = [
        sys.executable, "-m", "jaxvid.main", "--config=configs/quickstart.py", f"--workdir={workdir}",
        "--config.dataset.name=synthetic_fight/tiny", f"--config.dataset.data_dir={data_dir}",
        "--config.clip.num_frames=4", "--config.clip.height=32", "--config.clip.width=32",
        "--config.model.arch=C4R1D2", "--config.train.batch_size=8", "--config.train.num_epochs=2",
        "--config.train.log_every_steps=1", "--config.eval.num_resamples=50", "--config.optimizer.schedule=constant",
        "--config.optimizer.warmup_fraction=0.0", "--config.seed=1", "--config.eval.calibration=temperature", *options,
    ]  # fmt: skip
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def metric_rows(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "clips_per_second"} for row in rows]


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]


@pytest.mark.slow
def test_two_processes_train_evaluate_and_checkpoint_as_one(tmp_path, data_dir):
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start(one, data_dir))
    port = free_port()
    shared = [f"--coordinator=localhost:{port}", "--num_processes=2"]
    finish(*[start(two, data_dir, *shared, f"--process_id={index}") for index in range(2)])

    for row_of_one, row_of_two in zip(metric_rows(one), metric_rows(two), strict=True):
        # Two clips that are nearly equally probable may change places, one of 16 pairs.
        areas = [row.pop("val_roc_auc", 0) for row in (row_of_one, row_of_two)]
        assert areas[0] == pytest.approx(areas[1], abs=1 / 16)
        assert row_of_one == pytest.approx(row_of_two, rel=1e-3, abs=1e-5)
    metrics = [json.loads((workdir / "metrics.json").read_text()) for workdir in (one, two)]
    assert metrics[0]["num_clips"] == metrics[1]["num_clips"] == 8
    assert metrics[0]["loss"]["value"] == pytest.approx(metrics[1]["loss"]["value"], rel=1e-3)
    temperatures = [of["calibration"]["temperature"] for of in metrics]
    assert temperatures[0] == pytest.approx(temperatures[1], rel=0.02)
    # One process resumes what two saved; a run can be longer if its learning rate is constant.
    finish(start(two, data_dir, "--config.train.num_epochs=3"))
    assert metric_rows(two)[-1]["step"] == 6
