import base64

import cv2
import numpy as np
import pytest

from jaxvid.report import write_report
from tests.report.made_up import (
    HISTORY,
    HOSTILE,
    Page,
    frames_of,
    hostile_predictions,
    make_predictions,
    metrics_of,
    perfect_predictions,
)

ALL_FILES = [
    "confusion_matrix.png",
    "index.html",
    "mistakes.png",
    "reliability_diagram.png",
    "roc_curve.png",
    "training_curves.png",
]


def report_of(directory, predictions, *, history=HISTORY, frames_of=frames_of, title="SHDN on test"):
    metrics = metrics_of(predictions, num_resamples=50)
    return write_report(
        directory / "report",
        predictions,
        metrics,
        history=history,
        frames_of=frames_of,
        title=title,
        details={"Split": "test"},
    )


@pytest.fixture(scope="module", params=[2, 6], ids="{} classes".format)
def written_report(request, tmp_path_factory):
    return report_of(tmp_path_factory.mktemp("run"), make_predictions(request.param))


def test_report_has_its_files_and_nothing_else(written_report):
    directory = written_report.parent
    assert written_report == directory / "index.html"
    assert sorted(path.name for path in directory.iterdir()) == ALL_FILES
    assert [path.name for path in directory.parent.iterdir()] == ["report"]
    for path in directory.glob("*.png"):
        assert cv2.imread(str(path)) is not None


def test_page_refers_to_nothing_outside_itself(written_report):
    page = Page(written_report.read_text(encoding="utf-8"))
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "embed"}
    references = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "action", "data", "poster")
    ]
    # Four plots for light and dark, and a strip for each mistake.
    assert len(references) >= 9
    assert all(value.startswith("data:image/") for value in references)
    for value in references:
        content = np.frombuffer(base64.b64decode(value.split(",", 1)[1]), np.uint8)
        assert cv2.imdecode(content, cv2.IMREAD_COLOR) is not None


def test_page_shows_the_files_beside_it(written_report):
    page = Page(written_report.read_text(encoding="utf-8"))
    shown = {base64.b64decode(attributes["src"].split(",", 1)[1]) for attributes in page.attributes("img")}
    for name in sorted(set(ALL_FILES) - {"index.html", "mistakes.png"}):
        assert (written_report.parent / name).read_bytes() in shown


def test_names_with_characters_that_no_font_or_encoding_has_are_drawn_and_written(tmp_path):
    # Warnings are errors here: matplotlib warns about characters that it has no glyph for.
    index = report_of(tmp_path, hostile_predictions(), history=[], title=HOSTILE)
    assert "打架" in index.read_text(encoding="utf-8")


def test_a_report_without_mistakes_has_no_strips(tmp_path):
    index = report_of(tmp_path, perfect_predictions())
    assert not (index.parent / "mistakes.png").exists()
    text = Page(index.read_text(encoding="utf-8")).text
    assert "Every clip was classified correctly." in text
    # An interval of no width would read as certainty.
    assert "correctly: 4 of 4." in text


def test_a_report_of_one_class_without_a_history_leaves_those_plots_out(tmp_path):
    index = report_of(tmp_path, make_predictions(labels=np.ones(24, int)), history=[])
    assert sorted(path.name for path in index.parent.iterdir()) == [
        "confusion_matrix.png",
        "index.html",
        "mistakes.png",
        "reliability_diagram.png",
    ]
    text = Page(index.read_text(encoding="utf-8")).text
    assert "no training history" in text
    assert "There is no ROC curve" in text
    assert "undefined" in text


def test_report_is_replaced_with_all_its_files(tmp_path):
    old = tmp_path / "report"
    old.mkdir()
    for name in ALL_FILES:
        (old / name).write_text("old")
    index = report_of(tmp_path, perfect_predictions(), history=[])
    assert sorted(path.name for path in index.parent.iterdir()) == [
        "confusion_matrix.png",
        "index.html",
        "reliability_diagram.png",
        "roc_curve.png",
    ]
    assert "old" not in {path.read_bytes()[:3].decode("latin-1") for path in index.parent.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_directory_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis\.tex; give another directory"):
        report_of(tmp_path, make_predictions())
    assert (tmp_path / "report" / "thesis.tex").read_text() == "years of work"


def test_file_is_not_replaced(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(ValueError, match="must not be a file"):
        report_of(tmp_path, make_predictions())


@pytest.mark.parametrize("failing", ["frames_of", "png"])
def test_failure_leaves_the_old_report_and_nothing_else(tmp_path, monkeypatch, failing):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("old")

    def broken(*_):
        raise OSError("no space left")

    if failing == "png":
        monkeypatch.setattr("jaxvid.report.report.png", broken)
    with pytest.raises(OSError, match="no space left"):
        report_of(tmp_path, make_predictions(), frames_of=broken if failing == "frames_of" else frames_of)
    assert (tmp_path / "report" / "index.html").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
