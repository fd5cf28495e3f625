"""Disks that fill at a random moment, and directories that cannot be written."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.faults import jobs
from tests.faults.campaign import Try

PROMISE = "a full disk or a directory without permission costs one line; the same command goes on after room is made"

_MEBIBYTE = 2**20


def attempt(one: Try) -> Sequence[str]:
    """Gives a job a disk that is too small, or none that it may write, and then one with room."""
    job = jobs.JOBS[one.number % len(jobs.JOBS)]
    fault = _read_only if one.number // len(jobs.JOBS) % 3 == 2 else _full
    return [fault(job, one)]


def _full(job: str, one: Try) -> str:
    undisturbed = jobs.whole(job)
    disk = one.directory / "disk"
    disk.mkdir()
    # A share of what the job writes in all.
    size = int(one.rng.uniform(0.02, 0.9) * max(_MEBIBYTE, _used(jobs.home_of(job))))
    _mount(disk, size)
    try:
        status, errors = jobs.finish(jobs.start(job, disk))
        if status == 0 and jobs.results(disk) == undisturbed.results:
            # It kept back what it needs no more: the disk was large enough.
            return ""
        if wrong := _refusal(job, status, errors, disk):
            return f"{wrong} (disk of {size} bytes)"
        subprocess.run(["mount", "-o", f"remount,size={512 * _MEBIBYTE}", str(disk)], check=True)
        return _goes_on(job, disk, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _read_only(job: str, one: Try) -> str:
    """Root may write everywhere, but not on a disk that is mounted to be read."""
    undisturbed = jobs.whole(job)
    disk = one.directory / "disk"
    disk.mkdir()
    _mount(disk, 512 * _MEBIBYTE)
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        status, errors = jobs.finish(jobs.start(job, disk))
        if wrong := _refusal(job, status, errors, disk):
            return f"{wrong} (disk read-only)"
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        return _goes_on(job, disk, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _mount(disk: Path, size: int) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        raise RuntimeError("small disks are mounted with tmpfs, which only root may do")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)


def _used(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _refusal(job: str, status: int | None, errors: str, disk: Path) -> str:
    """Returns "" if a job ended with one line that names a path on the disk, and left nothing half-written."""
    lines = errors.strip().splitlines()
    if status in (0, None):
        return f"{job} ended with status {status}"
    if "Traceback (most recent call last)" in errors:
        raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
        return f"{job} ended with a traceback: {[*raised, lines[-1]][0][:400]}"
    if not lines or str(disk) not in lines[-1]:
        return f"{job} does not name a path in its last line: {lines[-1][:300] if lines else ''}"
    return "; ".join(f"{job}: {line}" for line in jobs.half_written(disk))


def _goes_on(job: str, disk: Path, undisturbed: jobs.Whole) -> str:
    status, errors = jobs.finish(jobs.start(job, disk))
    if status != 0:
        return f"{job} did not go on after room was made, status {status}: {errors[-500:]}"
    return "" if jobs.results(disk) == undisturbed.results else f"{job} has other results after room was made"
