import base64
import struct
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.predictions import Predictions
from jaxvid.report import write_report
from jaxvid.report.activations import Adaptation
from jaxvid.report.html import Picture
from jaxvid.report.mistakes import worst_mistakes
from jaxvid.report.page import render_page
from jaxvid.report.plots import (
    DARK,
    LIGHT,
    confusion_matrix_figure,
    mistakes_figure,
    png,
    roc_curve_figure,
    training_curves_figure,
)

ALL_FILES = ["confusion_matrix.png", "index.html", "mistakes.png", "roc_curve.png", "training_curves.png"]
HISTORY = [
    {"step": 10, "epoch": 0.5, "train_loss": 0.7, "train_accuracy": 0.5, "learning_rate": 1e-4},
    {"step": 20, "epoch": 1.0, "train_loss": 0.5, "train_accuracy": 0.7, "learning_rate": 1e-4},
    {"step": 20, "epoch": 1.0, "val_loss": 0.6, "val_accuracy": 0.6},
]
VOID_ELEMENTS = {"meta", "img", "source", "br"}


def make_predictions(num_classes=2, num_clips=24, *, signal=1.0, seed=0, **changes):
    rng = np.random.default_rng(seed)
    labels = np.arange(num_clips) % num_classes
    logits = rng.normal(size=(num_clips, num_classes)) + signal * np.eye(num_classes)[labels]
    fields = {
        "clips": [f"clip{index}.avi" for index in range(num_clips)],
        "sources": [f"video{index // 2}" for index in range(num_clips)],
        "labels": labels,
        "probabilities": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        "class_names": [f"class{index}" for index in range(num_classes)],
    }
    return Predictions(**(fields | changes))


def metrics_of(predictions, **settings):
    """The last of two classes is the positive one."""
    names = predictions.class_names
    return classification_metrics(predictions, positive_class=names[1] if len(names) == 2 else None, **settings)


def perfect_predictions():
    labels = np.array([0, 1, 0, 1])
    return make_predictions(num_clips=4, labels=labels, probabilities=np.eye(2)[labels] * 0.8 + 0.1)


def frames_of(index):
    return np.full((5, 24, 32, 3), index % 256, np.uint8)


def report_of(directory, predictions, *, history=HISTORY, frames_of=frames_of, title="SHDN on test"):
    figures = metrics_of(predictions, num_resamples=50)
    return write_report(
        directory / "report",
        predictions,
        figures,
        history=history,
        frames_of=frames_of,
        title=title,
        details={"Split": "test"},
    )


class Page(HTMLParser):
    """What a page holds, with a check that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID_ELEMENTS:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join("".join(self.texts).replace("\xa0", " ").split())


def page_of(predictions, *, title="SHDN on test", details=None, without=(), adaptation=None):
    """The page with one plain square for every picture: drawing them takes a hundred times as long."""
    _, square = cv2.imencode(".png", np.zeros((3, 3, 3), np.uint8))
    picture = Picture(square.tobytes(), square.tobytes())
    names = {"confusion_matrix", "roc_curve", "training_curves"} - set(without)
    figures = metrics_of(predictions, num_resamples=200)
    mistakes = worst_mistakes(predictions, frames_of)
    return Page(render_page(title, figures, details or {}, mistakes, dict.fromkeys(names, picture), adaptation))


@pytest.fixture(scope="module", params=[2, 6], ids="{} classes".format)
def written_report(request, tmp_path_factory):
    return report_of(tmp_path_factory.mktemp("run"), make_predictions(request.param))


CHANGE = {
    "step": 10,
    "epoch": 0.5,
    "reason": "rise",
    "from": "celu",
    "to": "leaky_relu",
    "before": {"loss": 0.773, "accuracy": 0.71},
    "next": {"loss": 0.6, "accuracy": 0.75},
    "best": {"loss": 0.475, "accuracy": 0.785},
    "returned_to_best": True,
    "sites": {},
}
BEST = {"activation": "celu", "evaluations": 3, "loss": 0.7, "accuracy": 0.7675}


def test_changes_of_activations_are_told_in_the_form_of_the_paper():
    page = page_of(perfect_predictions(), adaptation=Adaptation([CHANGE], [BEST]))
    row = "0.5 celu → leaky_relu rise, best weights back 0.773 0.600 0.475 71.00 % 75.00 % 78.50 %"
    assert "".join(row.split()) in "".join(page.texts).replace(" ", "").replace("\n", "")
    assert "celu30.70076.75%" in "".join(page.texts).replace(" ", "").replace("\n", "")
    assert "The activations did not change" in page_of(perfect_predictions(), adaptation=Adaptation([], [BEST])).text
    assert "activations" not in page_of(perfect_predictions()).text


def test_changes_of_activations_are_marked_in_loss_and_accuracy_at_their_epoch():
    figure = training_curves_figure(HISTORY, LIGHT, [CHANGE])
    marked = [[line for line in axes.lines if line.get_linestyle() == ":"] for axes in figure.axes]
    assert [len(lines) for lines in marked] == [1, 1, 0]
    assert list(marked[0][0].get_xdata()) == [0.5, 0.5]
    assert [text.get_text() for text in figure.axes[0].texts] == ["leaky_relu"]


def test_windows_stand_beside_clips():
    clips = perfect_predictions()
    figures = metrics_of(clips, num_resamples=200)
    windows = make_predictions(num_clips=8, labels=np.arange(8) % 2, probabilities=np.full((8, 2), 0.5))
    figures["views"] = metrics_of(windows, num_resamples=200)
    figures["vote"] = {"accuracy": {"value": 0.75, "low": None, "high": None}}
    picture = Picture(*[cv2.imencode(".png", np.zeros((3, 3, 3), np.uint8))[1].tobytes()] * 2)
    page = Page(render_page("t", figures, {}, [], {"confusion_matrix": picture}))
    assert "means over its windows, 8 windows in all" in page.text
    assert "By the class that most of its windows say, 75.0" in page.text.replace("\xa0", " ")
    texts = [text.replace("\xa0", " ") for text in page.texts if text.strip()]
    first = texts.index("Windows")
    assert texts[first : first + 6] == ["Windows", "Clips", "Accuracy", "50.0 %", "100.0 %", "Balanced accuracy"]


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
    # Three figures for light and dark, and a strip for each mistake.
    assert len(references) >= 7
    assert all(value.startswith("data:image/") for value in references)
    for value in references:
        content = np.frombuffer(base64.b64decode(value.split(",", 1)[1]), np.uint8)
        assert cv2.imdecode(content, cv2.IMREAD_COLOR) is not None


def test_page_shows_the_files_beside_it(written_report):
    page = Page(written_report.read_text(encoding="utf-8"))
    shown = {base64.b64decode(attributes["src"].split(",", 1)[1]) for attributes in page.attributes("img")}
    for name in ("confusion_matrix.png", "roc_curve.png", "training_curves.png"):
        assert (written_report.parent / name).read_bytes() in shown


@pytest.mark.parametrize("num_classes", [2, 6])
def test_page_is_accessible(num_classes):
    page = page_of(make_predictions(num_classes))
    assert page.attributes("html") == [{"lang": "en"}]
    assert len(page.attributes("title")) == len(page.attributes("h1")) == 1
    assert all(len(attributes["alt"]) > 10 for attributes in page.attributes("img"))
    assert all(attributes["scope"] in ("col", "row") for attributes in page.attributes("th"))


def test_page_says_the_accuracy_in_words():
    # 20 of 24 right: two mistakes of either class.
    labels = np.arange(24) % 2
    predicted = labels.copy()
    predicted[:4] = 1 - predicted[:4]
    predictions = make_predictions(labels=labels, probabilities=np.eye(2)[predicted] * 0.6 + 0.2)
    text = page_of(predictions, details={"Config": "configs/shdn.py", "Split": "test"}).text
    assert "83.3 % of the clips were classified right: 20 of 24 (95 % interval" in text
    assert "cut from 12 source videos" in text
    assert "Of 12 clips of class1, 10 were found and 2 missed. Of 12 clips called class1, 2 were class0." in text
    assert "The model was wrong about 4 clips. Frames" in text
    assert "clip0.avi, from video0is class0, called class1 with probability 80.0 % (class0 20.0 %)" in text
    assert "configs/shdn.py" in text
    assert "small test set" in text


def test_page_names_the_commonest_confusion():
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([0, 1, 1, 1, 0, 0, 2])
    predictions = make_predictions(3, 7, labels=labels, probabilities=np.eye(3)[predicted] * 0.7 + 0.1)
    assert "The commonest mistake: 2 clips of class2 called class0." in page_of(predictions).text


def test_page_says_how_many_mistakes_it_leaves_out():
    labels = np.arange(24) % 2
    predictions = make_predictions(labels=labels, probabilities=np.eye(2)[1 - labels] * 0.6 + 0.2)
    page = page_of(predictions)
    assert "wrong about 24 clips; these are the 8 it was most sure of." in page.text
    assert len(page.attributes("li")) == 5 + 8


def test_page_doubts_what_always_answering_one_class_would_reach():
    doubt = "does not show that the model tells the classes apart"
    assert doubt in page_of(make_predictions(signal=0.0)).text
    assert doubt not in page_of(make_predictions(signal=6.0)).text


def test_large_test_set_is_not_called_small():
    assert "small test set" not in page_of(make_predictions(num_clips=2000, signal=2.0)).text


HOSTILE = '<script>alert("1")</script>&amp;\'$title $x^2$ 打架\n\udce9.avi'


def hostile_predictions():
    clips = [f"{index}{HOSTILE}" for index in range(24)]
    sources = [HOSTILE] * 12 + ["other"] * 12
    return make_predictions(clips=clips, sources=sources, class_names=[HOSTILE, "$x^2$ <b>"], signal=0.0)


def test_names_are_text_wherever_they_stand():
    page = page_of(hostile_predictions(), title=HOSTILE, details={HOSTILE: HOSTILE})
    assert not page.attributes("script")
    assert not page.attributes("b")
    assert page.text.count(HOSTILE.replace("\n", " ")) > 10
    assert HOSTILE in " ".join(attributes["alt"] for attributes in page.attributes("img"))


def test_names_that_no_font_or_encoding_holds_can_be_drawn_and_written(tmp_path):
    # Warnings are errors here: matplotlib warns about characters that it has no glyph for.
    index = report_of(tmp_path, hostile_predictions(), history=[], title=HOSTILE)
    assert "打架" in index.read_text(encoding="utf-8")


def test_no_mistakes(tmp_path):
    index = report_of(tmp_path, perfect_predictions())
    assert not (index.parent / "mistakes.png").exists()
    text = Page(index.read_text(encoding="utf-8")).text
    assert "Every clip was classified right." in text
    # An interval of no width would read as certainty.
    assert "right: 4 of 4." in text


def test_single_class_without_history(tmp_path):
    index = report_of(tmp_path, make_predictions(labels=np.ones(24, int)), history=[])
    assert sorted(path.name for path in index.parent.iterdir()) == [
        "confusion_matrix.png",
        "index.html",
        "mistakes.png",
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


def test_worst_mistakes_come_first_and_only_they_are_read():
    labels = np.array([0, 0, 1, 1, 0, 1])
    wrong_probability = np.array([0.6, 0.1, 0.95, 0.7, 0.8, 0.2])
    probabilities = np.stack([1 - wrong_probability, wrong_probability], axis=1)
    probabilities[labels == 1] = probabilities[labels == 1, ::-1]
    predictions = make_predictions(num_clips=6, labels=labels, probabilities=probabilities)
    asked = []

    def recording_frames_of(index):
        asked.append(index)
        return frames_of(index)

    mistakes = worst_mistakes(predictions, recording_frames_of, limit=3)
    assert asked == [2, 4, 3]
    assert [mistake.clip for mistake in mistakes] == ["clip2.avi", "clip4.avi", "clip3.avi"]
    assert [mistake.predicted for mistake in mistakes] == ["class0", "class1", "class0"]
    assert [mistake.probability for mistake in mistakes] == pytest.approx([0.95, 0.8, 0.7])
    assert mistakes[0].label_probability == pytest.approx(0.05)


def one_mistake(frames):
    predictions = make_predictions(num_clips=1, labels=np.array([0]), probabilities=np.array([[0.2, 0.8]]))
    return worst_mistakes(predictions, lambda _: frames)[0]


def test_strip_shows_first_to_last_frame_in_order():
    # Frame 15 of 15 is the last; eight of them, evenly spaced, are 0, 2, 4, ... 14.
    frames = np.broadcast_to(np.arange(15, dtype=np.uint8)[:, None, None, None] * 10, (15, 160, 40, 3))
    mistake = one_mistake(np.ascontiguousarray(frames))
    assert mistake.num_frames == 8
    assert mistake.strip.shape == (160, 8 * 40 + 7 * 3, 3)
    assert mistake.strip[80, 20::43, 0].tolist() == [0, 20, 40, 60, 80, 100, 120, 140]


def test_strip_of_a_single_tiny_frame():
    mistake = one_mistake(np.zeros((1, 8, 6, 3), np.uint8))
    assert mistake.num_frames == 1
    assert mistake.strip.shape == (160, 120, 3)


def test_strip_keeps_its_colors_in_jpeg():
    red = np.zeros((2, 32, 32, 3), np.uint8)
    red[..., 0] = 255
    decoded = cv2.imdecode(np.frombuffer(one_mistake(red).jpeg(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[16, 16].tolist() == pytest.approx([0, 0, 255], abs=6)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((4, 3, 8, 8), np.uint8),
    ],
)
def test_other_frames_are_refused(frames):
    with pytest.raises(ValueError, match=r"uint8 frames, got .* for 'clip0.avi'"):
        one_mistake(frames)


def cell_texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_confusion_matrix_has_true_classes_in_rows():
    figure = confusion_matrix_figure(np.array([[22, 2], [5, 35]]), ["no_fight", "fight"])
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    # Column 1 of row 0: two clips without a fight that were called one.
    assert texts[(1, 0)] == "2\n8 %"
    assert texts[(0, 1)] == "5\n12 %"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["no_fight", "fight"]


@pytest.mark.parametrize(
    ("num_classes", "num_texts", "num_labels"), [(6, 36, 6), (20, 400, 20), (50, 0, 50), (150, 0, 50)]
)
def test_many_classes_stay_legible(num_classes, num_texts, num_labels):
    confusion = np.eye(num_classes, dtype=int) * 10
    figure = confusion_matrix_figure(confusion, [f"class{index}" for index in range(num_classes)])
    assert len(cell_texts(figure)) == num_texts
    assert len(figure.axes[0].get_yticks()) == num_labels


def test_class_without_clips_has_an_empty_row():
    figure = confusion_matrix_figure(np.array([[3, 0], [0, 0]]), ["a", "b"])
    assert cell_texts(figure) == ["3\n100 %", "0\n0 %", "0\n0 %", "0\n0 %"]


def legend_texts(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_binary_roc_curve_passes_through_the_decision():
    predictions = perfect_predictions()
    figures = metrics_of(predictions, num_resamples=50)
    figure = roc_curve_figure(predictions, figures)
    curves = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert curves["most probable class"] == [[0, 1]]
    assert curves["guessing: 50 %"] == [[0, 0], [1, 1]]
    assert legend_texts(figure)[1].startswith("class1: 100.0 %")


def test_roc_of_many_classes_names_the_worst():
    predictions = make_predictions(50, 400, signal=3.0)
    figures = metrics_of(predictions, num_resamples=20)
    figure = roc_curve_figure(predictions, figures)
    areas = {name: figure["auc"]["value"] for name, figure in figures["per_class"].items()}
    worst = sorted(areas, key=areas.get)[:3]
    assert [text.split(":")[0] for text in legend_texts(figure)] == ["guessing", *worst]
    assert len(figure.axes[0].lines) == 51


def test_training_curves_take_the_last_row_of_a_step_and_skip_what_is_not_finite():
    history = [
        {"step": 10, "train_loss": 0.9},
        {"step": 20, "train_loss": float("nan"), "val_loss": None},
        {"step": 30, "train_loss": 0.5},
        {"step": 10, "train_loss": 0.8},
    ]
    figure = training_curves_figure(history)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xlabel() == "step"
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[10, 0.8], [30, 0.5]]


def test_training_curves_over_epochs():
    figure = training_curves_figure(HISTORY)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Accuracy", "Learning rate"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch"] * 3
    assert legend_texts(figure) == ["training", "validation"]


@pytest.mark.parametrize("history", [[], [{"step": 1, "clips_per_second": 3.0}]])
def test_no_training_curves_of_nothing(history):
    assert training_curves_figure(history) is None


def test_no_picture_of_no_mistakes():
    with pytest.raises(ValueError, match="at least one"):
        mistakes_figure([])


def test_png_has_the_colors_of_its_theme_and_the_same_bytes_again():
    draw = [png(confusion_matrix_figure(np.eye(2, dtype=int), ["a", "b"], theme)) for theme in (LIGHT, DARK, LIGHT)]
    assert draw[0] == draw[2]
    corners = [cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[0, 0, ::-1] for content in draw]
    assert [struct.pack("3B", *corner).hex() for corner in corners] == ["ffffff", "1b2026", "ffffff"]
