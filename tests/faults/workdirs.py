"""Workdirs that somebody changed, at random and on purpose, and read."""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.campaign import Try
from tests.faults.confined import network, programs, run, touched
from tests.faults.made_videos import mutate

PROMISE = (
    "a hostile workdir: read, or refused with one error within 60 s of CPU and 2 GB; nothing outside read or written"
)
_MUTANTS = 12
_SECONDS, _MEMORY, _DEADLINE = 60.0, 2048, 900.0
_BY_IMPORTS = "/usr/bin/uname"

_STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 40, 10**30, 1e308, -0.5, "", "../../../etc/passwd", "/etc/passwd",
    "<script>alert(1)</script>", "=1+1", [], [1 << 40, 1 << 40], {}, {"a": {}}, "x" * 100_000, "\x00", "../canary",
)  # fmt: skip


@functools.cache
def _whole() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="fault-workdir-"))
    ended = run(["-m", "tests.faults.read_workdirs", "make", str(directory / "run")], directory, _DEADLINE)
    if ended.status != 0:
        raise RuntimeError(ended.errors)
    return directory / "run"


def _dotted(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from _dotted(value, (*prefix, key))


def _config_value(workdir: Path, rng: np.random.Generator) -> str:
    """Gives one key of the config a strange value, or removes it."""
    saved = json.loads((workdir / "config.json").read_text())
    path = list(_dotted(saved))[int(rng.integers(len(list(_dotted(saved)))))]
    section = saved
    for key in path[:-1]:
        section = section[key]
    value = _STRANGE[int(rng.integers(len(_STRANGE)))]
    if rng.random() < 0.1:
        del section[path[-1]]
    else:
        section[path[-1]] = value
    (workdir / "config.json").write_text(json.dumps(saved))
    return f"{'.'.join(path)} = {value!r:.60}"


def _bytes_of(pattern: str) -> Callable[[Path, np.random.Generator], str]:
    def change(workdir: Path, rng: np.random.Generator) -> str:
        files = sorted(path for path in workdir.glob(pattern) if path.is_file() and path.stat().st_size)
        path = files[int(rng.integers(len(files)))]
        mutation, content = mutate(path.read_bytes(), rng)
        path.write_bytes(content)
        return f"{mutation} {path.relative_to(workdir)}"

    return change


def _json_number(workdir: Path, rng: np.random.Generator) -> str:
    """Makes a number in the metadata of a checkpoint huge, or a name in it a path outside."""
    files = sorted(path for path in workdir.glob("checkpoints/*/**/*") if path.name in _METADATA and path.is_file())
    path = files[int(rng.integers(len(files)))]
    saved = json.loads(path.read_text() or "{}")
    text = json.dumps(saved)
    old, new = (("32", "320000000"), ("params", "../../../canary"), ("[", "[1099511627776, "))[int(rng.integers(3))]
    path.write_text(text.replace(old, new))
    return f"{old} -> {new} in {path.relative_to(workdir)}"


_METADATA = ("_METADATA", "_CHECKPOINT_METADATA", "array_metadatas", "_sharding")


def _link_outside(workdir: Path, rng: np.random.Generator) -> str:
    """Replaces a checkpoint by a link to what is none."""
    del rng
    shutil.rmtree(workdir / "checkpoints" / "1")
    (workdir / "checkpoints" / "1").symlink_to(workdir.parent / "canary")
    return "checkpoint 1 is a link"


def _removed(workdir: Path, rng: np.random.Generator) -> str:
    files = sorted(path for path in workdir.rglob("*") if path.is_file())
    path = files[int(rng.integers(len(files)))]
    path.unlink()
    return f"{path.relative_to(workdir)} removed"


def _rows(workdir: Path, rng: np.random.Generator) -> str:
    """Lines of metrics and sessions that are JSON, and none of theirs."""
    line = ("[]", '"a"', "null", "{}", '{"step": "a"}', '{"step": 1e999, "train_loss": "<b>"}', "[" * 100_000)[
        int(rng.integers(7))
    ]
    name = ("metrics.jsonl", "sessions.jsonl")[int(rng.integers(2))]
    with (workdir / name).open("a") as file:
        file.write(line + "\n")
    return f"{line:.40} in {name}"


_CHANGES = (
    _config_value, _config_value, _config_value, _bytes_of("config.json"), _bytes_of("*.jsonl"), _rows, _json_number,
    _bytes_of("checkpoints/*/**/*"), _bytes_of("checkpoints/*/**/*"), _removed, _link_outside,
)  # fmt: skip


def attempt(one: Try) -> list[str]:
    """Reads a whole workdir and changed ones."""
    made = {"whole": "nothing changed"}
    shutil.copytree(_whole(), one.directory / "whole")
    for number in range(_MUTANTS):
        workdir = one.directory / f"changed_{number}"
        shutil.copytree(_whole(), workdir)
        change = _CHANGES[int(one.rng.integers(len(_CHANGES)))]
        made[workdir.name] = change(workdir, one.rng)
    paths, verdicts = [one.directory / name for name in made], []
    while paths:
        ended = run(["-m", "tests.faults.read_workdirs", *map(str, paths)], one.directory, _DEADLINE)
        lines = [json.loads(line) for line in ended.output.splitlines() if line.startswith('{"file"')]
        verdicts += [_of_workdir(line, made[line["file"]]) for line in lines]
        if len(lines) < len(paths):
            end = "hangs" if ended.status is None else f"ends the process with {ended.status}"
            name = paths[len(lines)].name
            verdicts.append(f"{name} ({made[name]}) {end}: {ended.errors[-500:]}")
        verdicts += _of_all(ended.calls, one.directory, made)
        paths = paths[len(lines) + 1 :]
    return verdicts


def _of_workdir(line: dict[str, Any], how: str) -> str:
    error = line["error"]
    if line["seconds"] > _SECONDS or line["memory"] > _MEMORY:
        return f"{how}: {line['seconds']:.0f} s, {line['memory']} MB"
    if error is not None and (error.startswith("TRACEBACK") or line["file"] == "whole"):
        return f"{how}: {error[:400]}"
    return ""


def _of_all(calls: list[str], directory: Path, made: dict[str, str]) -> list[str]:
    found = []
    if others := [name for name in programs(calls) if "python" not in name and name != _BY_IMPORTS]:
        found.append(f"ran {others}")
    if asked := network(calls):
        found.append(f"asked an address: {asked[0]}")
    inside = [directory / name for name in made]
    strangers = [
        path for path in touched(calls, directory) if path not in inside and not set(inside) & set(path.parents)
    ]
    if strangers:
        found.append(f"opened {sorted(map(str, strangers))}")
    return found
