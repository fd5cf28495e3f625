"""Files of weights that mean harm, or are damaged, read in a process under watch."""

import json
from pathlib import Path

import h5py
import numpy as np

from tests.faults.campaign import Try
from tests.faults.confined import Ended, network, programs, run, touched
from tests.faults.hostile_weights import HARMLESS, HDF5, PLAIN, as_zip, gadget_file, whole_keras
from tests.faults.made_videos import mutate

PROMISE = (
    "a hostile weight file: nothing executed, nothing outside read or written, refused with one error within 10 s of "
    "CPU and 1 GB"
)
_GADGETS, _MUTANTS = 24, 24
_SECONDS, _MEMORY, _DEADLINE = 10.0, 1024, 400.0
_LONGEST_ERROR = 5000
# What libraries run when they are imported.
_BY_IMPORTS = "/usr/bin/uname"


def attempt(one: Try) -> list[str]:
    """Reads some gadgets in their turn, mutants of whole files, and in every eighth try all files made by hand."""
    folder, canary = one.directory / "weights", one.directory / "canary"
    folder.mkdir()
    for number in range(one.number * _GADGETS, (one.number + 1) * _GADGETS):
        name, content = gadget_file(number, canary)
        (folder / name).write_bytes(content)
    _write_mutants(folder, one.rng)
    if one.number % 8 == 0:
        _write_made_by_hand(folder, canary)
    return _verdicts(sorted(folder.iterdir()), one.directory)


def _write_mutants(folder: Path, rng: np.random.Generator) -> None:
    whole_keras(folder / "whole.h5")
    values = rng.normal(size=64).astype(np.float32).tobytes()
    header = json.dumps({"a": {"dtype": "F32", "shape": [4, 16], "data_offsets": [0, 256]}}).encode()
    whole = {
        "h5": (folder / "whole.h5").read_bytes(),
        "safetensors": len(header).to_bytes(8, "little") + header + values,
        "pth": as_zip(b"\x80\x02}.", **{"archive/data/0": values}),
    }
    for number in range(_MUTANTS):
        kind = ("h5", "h5", "safetensors", "pth")[number % 4]
        mutation, content = mutate(whole[kind], rng)
        (folder / f"mutant_{number}_{mutation.replace(' ', '_')}.{kind}").write_bytes(content)


def _write_made_by_hand(folder: Path, canary: Path) -> None:
    for name, make in PLAIN.items():
        (folder / name).write_bytes(make())
    whole_keras(canary)
    for name, change in HDF5.items():
        whole_keras(folder / name)
        with h5py.File(folder / name, "a") as file:
            change(file, canary)


def _verdicts(paths: list[Path], directory: Path) -> list[str]:
    verdicts, left, had_canary = [], paths, (directory / "canary").exists()
    before = (directory / "canary").read_bytes() if had_canary else b""
    while left:
        ended = run(["-m", "tests.faults.read_weights", *map(str, left)], directory, _DEADLINE)
        lines = [json.loads(line) for line in ended.output.splitlines() if line.startswith("{")]
        verdicts += [_of_file(line) for line in lines]
        verdicts += _of_all(ended, paths, directory)
        if len(lines) < len(left):
            end = "hangs" if ended.status is None else f"ends the process with {ended.status}"
            verdicts.append(f"{left[len(lines)].name} {end}: {ended.errors[-600:]}")
        left = left[len(lines) + 1 :]
    after = (directory / "canary").read_bytes() if (directory / "canary").exists() else b""
    return [*verdicts, "" if before == after else "something was executed: the canary changed"]


def _of_file(line: dict) -> str:
    what, error = line["file"], line["error"]
    is_whole = what.startswith("mutant") or what in HARMLESS
    if what == "whole.h5":
        return "" if error is None else f"{what} was not read: {error}"
    if line["seconds"] > _SECONDS or line["memory"] > _MEMORY:
        return f"{what} took {line['seconds']:.0f} s and {line['memory']} MB"
    if error is None and not is_whole and what not in _EMPTY:
        return f"{what} was read"
    if error is not None and len(error) > _LONGEST_ERROR:
        return f"{what}: its error has {len(error)} characters"
    return ""


# Files that hold nothing wrong in what is read: state dicts without tensors.
_EMPTY = ("memo.pth", "up.pth")


def _of_all(ended: Ended, paths: list[Path], directory: Path) -> list[str]:
    found = []
    if others := [name for name in programs(ended.calls) if "python" not in name and name != _BY_IMPORTS]:
        found.append(f"ran {others}")
    if calls := network(ended.calls):
        found.append(f"asked an address: {calls[0]}")
    strangers = touched(ended.calls, directory) - {*paths, directory / "weights"}
    if strangers:
        found.append(f"opened {sorted(map(str, strangers))}")
    return found
