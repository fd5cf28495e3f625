"""Programs under watch: a deadline, their memory, the files that they open and the addresses that they ask."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CALLS = "open,openat,openat2,creat,execve,connect,bind,sendto,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat"


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
      status: exit status; None if it did not end within its deadline.
      output: what it printed.
      errors: the last of what it wrote to standard error.
      calls: lines of strace, of it and its children: files opened, made and removed, addresses, programs.
    """

    status: int | None
    output: str
    errors: str
    calls: list[str]


def run(arguments: Sequence[str], directory: Path, seconds: float, **environment: str) -> Ended:
    """Runs `python ARGUMENTS` under strace; `directory` is that of the try."""
    if shutil.which("strace") is None:
        raise RuntimeError("the opened files are watched by strace: apt-get install strace")
    trace = directory.parent / f"{directory.name}.trace"
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={_CALLS}", "-e", "signal=none", "-s", "300"]
    command += ["-o", str(trace), sys.executable, *arguments]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            output, errors = process.communicate()
            status = None
    calls = trace.read_text(errors="replace").splitlines() if trace.exists() else []
    trace.unlink(missing_ok=True)
    return Ended(status, output, errors[-2000:], calls)


def network(calls: Sequence[str]) -> list[str]:
    """Returns the calls that name an address of a network."""
    return [call for call in calls if "AF_INET" in call]


def touched(calls: Sequence[str], directory: Path) -> set[Path]:
    """Returns the files in a directory, at any depth, that calls name, whether they exist or not."""
    paths = {Path(path) for call in calls if "execve" not in call for path in _PATH.findall(call)}
    return {path for path in paths if directory in path.parents}


def programs(calls: Sequence[str]) -> set[str]:
    """Returns the programs that were run."""
    return {_PATH.findall(call)[0] for call in calls if "execve(" in call and call.endswith("= 0")}
