"""Folders of broken and hostile videos, decoded in every way that jaxvid has."""

import json
import os
import socket
from pathlib import Path

from jaxvid.video.files import VIDEO_EXTENSIONS
from tests.faults.campaign import Try
from tests.faults.confined import network, programs, run, touched
from tests.faults.made_videos import FORMATS, NAMING, NUM_FRAMES, mutate, whole_video, with_foreign_data

PROMISE = (
    "a broken video costs that video: no crash or hang, under 600 MB in the parent and 4 GiB in a decoder, no file or "
    "address opened that was not named; none counted as whole that lost more than one frame, as far as its container "
    "tells (jaxvid/video/truncation.py)"
)
_MUTANTS = 100
_MEMORY = 600
# For one file, and for the folder in four ways.
_SECONDS, _DEADLINE = 15.0, 900.0
_FPS = 25.0
_NAMES_OTHERS = "names others"


def attempt(one: Try) -> list[str]:
    """Decodes a folder of mutants, files that name others, oddities, and whole videos that must not suffer."""
    folder = one.directory / "videos"
    folder.mkdir()
    made = {name: f"whole {name}" for name in one.rng.choice(list(FORMATS), 2, replace=False)}
    for name in made:
        (folder / name).write_bytes(whole_video(name))
    for number in range(_MUTANTS):
        base = str(one.rng.choice(list(FORMATS)))
        mutation, content = mutate(whole_video(base), one.rng)
        name = f"{number}_{base}"
        (folder / name).write_bytes(content)
        made[name] = f"{mutation}: {base}"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        made |= _write_naming(folder, listening.getsockname()[1])
        ended = run(["-m", "tests.faults.decode_folder", str(folder), str(_SECONDS)], one.directory, _DEADLINE)
    return _verdicts(made, folder, ended)


def _write_naming(folder: Path, port: int) -> dict[str, str]:
    """Writes files that name others, and those others, which nobody may open."""
    made = {}
    for name, text in NAMING.items():
        path = folder / (name if Path(name).suffix in VIDEO_EXTENSIONS else f"{name}.avi")
        path.write_text(text.replace("{port}", str(port)).replace("{folder}", str(folder)))
        made[path.name] = _NAMES_OTHERS
    (folder / "zero.mp4").symlink_to("/dev/zero")
    (folder / "nowhere.mp4").symlink_to("/nowhere.mp4")
    os.mkfifo(folder / "pipe.avi")
    made |= dict.fromkeys(("zero.mp4", "nowhere.mp4", "pipe.avi"), _NAMES_OTHERS)
    (folder / "foreign.mp4").write_bytes(with_foreign_data(whole_video("mpeg4.mp4")))
    made["foreign.mp4"] = "says that its frames are elsewhere"
    for name in ("canary.vob", "vobsub.sub", "canary.key"):
        (folder / name).write_bytes(whole_video("mpeg2.mpg"))
    return made


def _verdicts(made: dict[str, str], folder: Path, ended) -> list[str]:
    if ended.status != 0:
        end = "did not end in time" if ended.status is None else f"ended with {ended.status}"
        return [f"the parent {end}: {ended.errors[-1000:]}"] * len(made)
    answer = json.loads(ended.output.splitlines()[-1])
    opened = touched(ended.calls, folder.parent)
    common = []
    if answer["memory"] > _MEMORY:
        common.append(f"the parent took {answer['memory']} MB")
    if calls := network(ended.calls):
        common.append(f"asked an address: {calls[0]}")
    if others := [name for name in programs(ended.calls) if "python" not in name]:
        common.append(f"ran {others}")
    if strangers := [path for path in opened if path.name not in made and path != folder]:
        common.append(f"opened {sorted(map(str, strangers))}")
    return [*common, *(_of_file(name, how, answer["found"]) for name, how in made.items())]


def _of_file(name: str, how: str, found: dict[str, dict[str, int | float | str]]) -> str:
    wrong = []
    for way, results in found.items():
        result = results.get(name, "no result")
        whole = not isinstance(result, str)
        if result == "no result" or (how.startswith("whole") and not whole) or (how == _NAMES_OTHERS and whole):
            wrong.append(f"{way}: {result}")
        elif whole and _lost(way, result) > 1 and not _tells_nothing(name, how):
            wrong.append(
                f"{way}: whole with {result} of {NUM_FRAMES} frames" if way != "windows" else f"{way}: {result} s"
            )
    return f"{name} ({how}): {'; '.join(wrong)}" if wrong else ""


def _tells_nothing(name: str, how: str) -> bool:
    """Returns whether nothing in a file of its kind tells that frames are missing, broken in this way."""
    mutation = how.split(":")[0]
    if name.endswith(".mpg"):
        return mutation != "cut the beginning"
    return name.endswith((".mkv", ".webm")) and mutation not in ("cut", "cut near the end")


def _lost(way: str, result: float) -> float:
    return NUM_FRAMES - (round(result * _FPS) if way == "windows" else result)
