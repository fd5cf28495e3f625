"""Made-up predictions and pages that the tests of reports share."""

import html
import re
from html.parser import HTMLParser

import cv2
import numpy as np

from jaxvid.metrics.classification import classification_metrics
from jaxvid.metrics.predictions import Predictions
from jaxvid.report.html import PlotImages
from jaxvid.report.mistakes import worst_mistakes
from jaxvid.report.page import render_page
from jaxvid.report.report import PLOTS

HISTORY = [
    {"step": 10, "epoch": 0.5, "train_loss": 0.7, "train_accuracy": 0.5, "learning_rate": 1e-4},
    {"step": 20, "epoch": 1.0, "train_loss": 0.5, "train_accuracy": 0.7, "learning_rate": 1e-4},
    {"step": 20, "epoch": 1.0, "val_loss": 0.6, "val_accuracy": 0.6},
]
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
HOSTILE = '<script>alert("1")</script>&amp;\'$title $x^2$ 打架\n\udce9.avi'
_VOID_ELEMENTS = {"meta", "img", "input", "source", "br"}


def make_predictions(num_classes=2, num_clips=24, *, signal=1.0, seed=0, **changes):
    """Predictions that are the better the greater `signal` is; two clips of each source."""
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


def metrics_of(predictions, *, positive=-1, num_resamples=50):
    """The metrics; of two classes, the one at index `positive` is the positive one."""
    names = predictions.class_names
    positive_class = names[positive] if len(names) == 2 and positive is not None else None
    return classification_metrics(predictions, positive_class=positive_class, num_resamples=num_resamples)


def perfect_predictions():
    """Four clips, all classified correctly."""
    labels = np.array([0, 1, 0, 1])
    return make_predictions(num_clips=4, labels=labels, probabilities=np.eye(2)[labels] * 0.8 + 0.1)


def hostile_predictions():
    """Names of clips, sources and classes that HTML, matplotlib and templates must not interpret."""
    clips = [f"{index}{HOSTILE}" for index in range(24)]
    sources = [HOSTILE] * 12 + ["other"] * 12
    return make_predictions(clips=clips, sources=sources, class_names=[HOSTILE, "$x^2$ <b>"], signal=0.0)


def frames_of(index):
    """Five gray frames."""
    return np.full((5, 24, 32, 3), index % 256, np.uint8)


class Page(HTMLParser):
    """The elements and texts of a page; checks that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self._source = text
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in _VOID_ELEMENTS:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def cautions(self):
        """The text of every paragraph in the boxes of cautions."""
        boxes = re.findall(r'<div class="caution" role="note">(.*?)</div>', self._source, re.S)
        paragraphs = re.findall(r"<p>(.*?)</p>", "".join(boxes), re.S)
        return [html.unescape(re.sub(r"<[^>]+>", "", paragraph)) for paragraph in paragraphs]

    @property
    def text(self):
        return " ".join("".join(self.texts).replace("\xa0", " ").split())


def plain_square():
    """A plot of one square: drawing a real one takes a hundred times as long."""
    _, square = cv2.imencode(".png", np.zeros((3, 3, 3), np.uint8))
    return PlotImages(square.tobytes(), square.tobytes())


def page_of(predictions, *, title="SHDN on test", details=None, without=(), adaptation=None, metrics=None):
    """The page with a plain square for every plot."""
    names = set(PLOTS) - set(without)
    metrics = metrics or metrics_of(predictions, num_resamples=200)
    mistakes = worst_mistakes(predictions, frames_of)
    return Page(render_page(title, metrics, details or {}, mistakes, dict.fromkeys(names, plain_square()), adaptation))
