"""Libraries that take the place of the C library's functions in a program: LD_PRELOAD loads them into it."""

import shutil
import subprocess
from pathlib import Path


def compiled(name: str, directory: Path) -> Path:
    """Compiles the library whose source, of that name, lies beside this file; returns its path in `directory`."""
    if shutil.which("cc") is None:
        raise RuntimeError(f"{name} is a library that must be compiled: apt-get install gcc libc6-dev")
    library = directory / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library
