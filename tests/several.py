"""Several processes of one run on this machine, as on several hosts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Processes 0 and 1 on hosts node0 and node1, which hear of a silent death after ten seconds.
STARTED = """
import os, socket, sys, time
from pathlib import Path
index, port, directory = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
socket.gethostname = lambda: f"node{index}"
from jaxvid import processes
processes.HEARTBEAT_SECONDS = 10
processes.start(f"localhost:{port}", 2, index)
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start(*arguments, **environment):
    """Starts Python with these arguments, on one device."""
    settings = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | settings | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def two(program, directory):
    """Starts a program on two hosts; it finds its `index` and the `directory`."""
    port = free_port()
    return [start("-c", STARTED + program, index, port, directory) for index in range(2)]


def ended(*processes, timeout=300):
    """Waits for processes; returns the status, the output and the errors of each."""
    try:
        outputs = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]
