"""The documents: short lines, links and paths that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "jaxvid/train/SCALING.md", *(f"{folder}/README.md" for folder in
    ("jaxvid", "jaxvid/benchmark", "jaxvid/models", "jaxvid/predict", "jaxvid/train", "configs",
     "tfds_builders")))]  # fmt: skip


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_is_longer_than_120_characters_but_those_of_tables(path):
    assert [line for line in path.read_text().splitlines() if len(line) > 120 and not line.startswith("| ")] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path):
    links = re.findall(r"\]\(([^)#:]+)\)|^\[\w+\]: (\S+)$", path.read_text(), re.MULTILINE)
    targets = [one or other for one, other in links]
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_the_readme_is_under_200_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_the_map_names_files_that_exist():
    text = (ROOT / "jaxvid" / "README.md").read_text()
    named = {name for name in re.findall(r"`([\w/]+(?:\.py|/))`", text) if "NAME" not in name} - {"__main__.py"}
    assert len(named) > 20
    assert [name for name in sorted(named) if not ((ROOT / "jaxvid" / name).exists() or (ROOT / name).exists())] == []


def test_the_map_lists_every_package_and_every_layer():
    text = (ROOT / "jaxvid" / "README.md").read_text()
    packages = {path.parent.name for path in (ROOT / "jaxvid").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in text} == set()
    drawn = text.split("## What may import what")[1].split("```")[1].split()
    assert set(drawn) >= packages | {path.stem for path in (ROOT / "jaxvid").glob("*.py")} - {"__init__"}


def test_configs_of_the_readmes_exist():
    text = "".join(path.read_text() for path in DOCUMENTS)
    named = set(re.findall(r"--config=(configs/\w+\.py)", text))
    assert len(named) > 5
    assert [name for name in sorted(named) if "NAME" not in name and not (ROOT / name).exists()] == []
