import os
import subprocess
import sys

import pytest

_TUNABLE = "glibc.malloc.hugetlb=1"

# Prints the setting that a program starts with, and the one that programs which it starts would inherit.
_STARTS = """
import os, pathlib, platform, sys
print(os.environ.get("GLIBC_TUNABLES"), flush=True)
pathlib.Path.read_text = lambda path: {policy!r}
platform.libc_ver = lambda: {library!r}
sys.argv[0] = {name!r}
import jaxvid
print("then", os.environ.get("GLIBC_TUNABLES"), sys.argv[1:])
"""
_ON_REQUEST, _ALWAYS = "always [madvise] never", "[always] madvise never"
_GLIBC = ("glibc", "2.36")


def run(name="-m", policy=_ON_REQUEST, library=_GLIBC, tunables=None):
    """Returns the lines that a program prints whose name is "-m", as it is of `python -m` in the beginning."""
    environment = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", _STARTS.format(name=name, policy=policy, library=library), "--flag=1", "a b"],
        env=environment | ({"GLIBC_TUNABLES": tunables} if tunables else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_a_command_starts_again_with_huge_pages_and_what_it_starts_does_not_inherit_them():
    assert run() == ["None", _TUNABLE, "then None ['--flag=1', 'a b']"]
    other = "glibc.cpu.x86_data_cache_size=32768"
    assert run(tunables=other) == [other, f"{other}:{_TUNABLE}", f"then {other} ['--flag=1', 'a b']"]


@pytest.mark.parametrize(
    ("setting", "tunables"),
    [
        pytest.param({"name": "own.py"}, "None", id="a program that imports jaxvid"),
        pytest.param({"policy": _ALWAYS}, "None", id="huge pages for all programs"),
        pytest.param({"policy": "always madvise [never]"}, "None", id="huge pages for none"),
        pytest.param({"library": ("glibc", "2.31")}, "None", id="an old glibc"),
        pytest.param({"library": ("", "")}, "None", id="another C library"),
        pytest.param({"tunables": "glibc.malloc.hugetlb=0"}, "glibc.malloc.hugetlb=0", id="the user's own setting"),
    ],
)
def test_other_programs_and_systems_are_left_alone(setting, tunables):
    assert run(**setting) == [tunables, f"then {tunables} ['--flag=1', 'a b']"]
