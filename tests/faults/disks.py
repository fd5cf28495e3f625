"""Disks that fill or break at a random moment, and directories that cannot be written."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.faults import jobs
from tests.faults.campaign import Try
from tests.faults.preloaded import compiled

PROMISE = (
    "a disk that is full or breaks, or a directory without permission, costs one line; the same command goes on once "
    "it is mended"
)

_MEBIBYTE = 2**20


def attempt(one: Try) -> Sequence[str]:
    """Gives a job a disk that is too small, or none that it may write, and then one with room."""
    job = jobs.JOBS[one.number % len(jobs.JOBS)]
    fault = (_full, _full, _read_only, _broken)[one.number // len(jobs.JOBS) % 4]
    return [fault(job, one)]


def _full(job: str, one: Try) -> str:
    undisturbed = jobs.whole(job)
    disk = one.directory / "disk"
    disk.mkdir()
    size = _share_of_all(job, one)
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


def _broken(job: str, one: Try) -> str:
    """Writes give an input/output error from some byte on, as on a disk that breaks; needs no root."""
    undisturbed = jobs.whole(job)
    disk = one.directory / "disk"
    disk.mkdir()
    library, whole_bytes = compiled("broken_disk", one.directory), _share_of_all(job, one)
    breaks = {"LD_PRELOAD": str(library), "BROKEN_DISK": str(disk), "BROKEN_DISK_WHOLE_BYTES": str(whole_bytes)}
    status, errors = jobs.finish(jobs.start(job, disk, **breaks))
    # It is counted in each process, none of which may write so much.
    if status == 0 and jobs.results(disk) == undisturbed.results:
        return ""
    if wrong := _refusal(job, status, errors, disk):
        return f"{wrong} (broken behind {whole_bytes} bytes)"
    return _goes_on(job, disk, undisturbed)


def _share_of_all(job: str, one: Try) -> int:
    """Returns a number of bytes at random, fewer than a job writes in all."""
    return int(one.rng.uniform(0.02, 0.9) * max(_MEBIBYTE, _used(jobs.home_of(job))))


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
