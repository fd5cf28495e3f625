"""Small commands of every kind for the campaign, and what each leaves when nothing goes wrong."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxvid.video.files import write_video
from tests.faults.confined import ROOT

DEADLINE_SECONDS = 600.0

_TINY = (
    "--config.dataset.name=synthetic_fight/tiny",
    "--config.clip.num_frames=4",
    "--config.clip.height=32",
    "--config.clip.width=32",
    "--config.train.batch_size=8",
    "--config.train.num_epochs=3",
    "--config.eval.num_resamples=50",
)
_TRAIN = ("-m", "jaxvid.main", "--config=configs/quickstart.py", "--config.model.arch=C4R1D2", *_TINY)
# With a backbone `tiny`, which needs no weights.
_FEATURES = (
    *("-m", "tests.training_process", "-", "--config=configs/backbone_lstm.py:backbone=mobilenet", *_TINY),
    *("--config.model.backbone=tiny", "--config.model.pretrained=", "--config.model.trainable=head"),
    # The config's validation split is a tenth of the sources, of which there are eight.
    *("--config.dataset.train_split=train", "--config.dataset.val_split=val"),
)
_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    "PYTHONPATH": str(ROOT),
}

# What each job writes; training builds its dataset first.
JOBS = ("train", "features", "sweep", "evaluate", "predict", "export")
_OF_A_TRAINED_RUN = ("evaluate", "predict", "export")


class Whole(NamedTuple):
    """A job that nothing disturbed.

    Attributes:
      results: content of its files, by their path within the job's directory.
      seconds: that it took.
    """

    results: dict[str, bytes]
    seconds: float


def arguments(job: str, home: Path) -> list[str]:
    """Returns the arguments of Python for a job that writes into `home`; all but training read a trained run."""
    data = f"--config.dataset.data_dir={home / 'tfds'}"
    run = _trained_run() if job in _OF_A_TRAINED_RUN else None
    found = {
        "train": [*_TRAIN, data, f"--workdir={home / 'out'}"],
        "features": [*_FEATURES, data, f"--workdir={home / 'out'}", f"--config.train.feature_cache={home / 'cache'}"],
        "sweep": [*_TRAIN, data, f"--workdir={home / 'out'}", "--sweep=seed=0,1"],
        "evaluate": ["-m", "jaxvid.evaluate", f"--workdir={run}", "--split=val", f"--output={home / 'out'}"],
        "predict": ["-m", "jaxvid.predict", f"--workdir={run}", str(_videos()), f"--output={home / 'out'}"],
        "export": ["-m", "jaxvid.export", f"--workdir={run}", f"--output={home / 'out' / 'model.zip'}"],
    }
    return [str(argument) for argument in found[job]]


def start(job: str, home: Path, *, prefix: Sequence[str] = (), **environment: str) -> subprocess.Popen[str]:
    """Starts a job in a session of its own, so that all of its processes can be killed together."""
    return subprocess.Popen(
        [*prefix, sys.executable, *arguments(job, home)],
        cwd=ROOT,
        env={**os.environ, **_ENVIRONMENT, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = DEADLINE_SECONDS) -> tuple[int | None, str]:
    """Waits for a job; returns its status, None if it did not end in time, and what it wrote to standard error."""
    try:
        errors = process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired:
        kill(process)
        return None, ""
    return process.returncode, errors


def kill(process: subprocess.Popen[str]) -> None:
    """Kills a job with all of its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.communicate()


@functools.cache
def whole(job: str) -> Whole:
    """Runs a job to its end, once in this process."""
    home = home_of(job)
    began = time.monotonic()
    status, errors = finish(start(job, home))
    if status != 0:
        raise RuntimeError(f"{job} without faults ended with status {status}: {errors[-2000:]}")
    return Whole(results(home), time.monotonic() - began)


def home_of(job: str) -> Path:
    """Returns the directory of the undisturbed job."""
    return _scratch() / job


def results(home: Path) -> dict[str, bytes]:
    """Returns what must be the same, bit for bit, however often a job was stopped.

    That is predictions and timelines, and the programs of exports, whose archive holds the time of its writing.
    """
    found = {}
    for path in sorted((home / "out").rglob("*")):
        if path.name in ("predictions.csv", "timeline.csv", "events.json"):
            found[str(path.relative_to(home))] = path.read_bytes()
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                found |= {f"{path.name}/{name}": archive.read(name) for name in archive.namelist()}
    return found


def half_written(home: Path) -> list[str]:
    """Names the files that are not whole, but have their final name. Logs, which only grow, may lack a last line."""
    return [f"{path} is not whole" for path in _final_files(home) if not _is_whole(path)]


def _final_files(home: Path) -> Iterator[Path]:
    for path in home.rglob("*"):
        unfinished = any(part.startswith(".") or "tmp" in part for part in path.relative_to(home).parts)
        if path.is_file() and not unfinished:
            yield path


def _is_whole(path: Path) -> bool:
    content = path.read_bytes()
    if path.suffix == ".json":
        with contextlib.suppress(ValueError):
            json.loads(content)
            return True
        return False
    if path.suffix == ".zip":
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    ends = {".csv": b"\n", ".png": b"IEND\xaeB`\x82", ".html": b"</html>", ".parquet": b"PAR1"}
    return content.rstrip(b"\n" if path.suffix == ".html" else b"").endswith(ends.get(path.suffix, b""))


@functools.cache
def _scratch() -> Path:
    """Returns a directory that is removed when this process ends."""
    directory = tempfile.TemporaryDirectory(prefix="fault-jobs-")
    _KEPT.append(directory)
    return Path(directory.name)


# A TemporaryDirectory goes with its last reference.
_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _trained_run() -> Path:
    whole("train")
    return home_of("train") / "out"


@functools.cache
def _videos() -> Path:
    """Returns a folder of three videos of moving noise."""
    folder = _scratch() / "videos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        write_video(folder / f"{number}.mp4", rng.integers(0, 255, (60, 48, 64, 3), np.uint8), 10.0)
    return folder
