import struct

import cv2
import numpy as np
import pytest

from jaxvid.calibration import Threshold
from jaxvid.report.plots import (
    DARK,
    LIGHT,
    plot_confusion_matrix,
    plot_mistakes,
    plot_roc_curve,
    plot_training_curves,
    png,
)
from tests.report.made_up import CHANGE, HISTORY, make_predictions, metrics_of, perfect_predictions
from tests.tiny import predictions_from_confusion


def cell_texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_confusion_matrix_has_true_classes_in_rows():
    figure = plot_confusion_matrix(np.array([[22, 2], [5, 35]]), ["no_fight", "fight"])
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    # Column 1 of row 0: two clips without a fight, predicted as fights.
    assert texts[(1, 0)] == "2\n8 %"
    assert texts[(0, 1)] == "5\n12 %"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()][:2] == ["no_fight", "fight"]


@pytest.mark.parametrize(
    ("num_classes", "num_texts", "num_labels"), [(6, 36, 6), (20, 400, 20), (50, 0, 50), (150, 0, 50)]
)
def test_many_classes_stay_legible(num_classes, num_texts, num_labels):
    confusion = np.eye(num_classes, dtype=int) * 10
    figure = plot_confusion_matrix(confusion, [f"class{index}" for index in range(num_classes)])
    assert len(cell_texts(figure)) == num_texts
    assert len(figure.axes[0].get_yticks()) == num_labels


def test_class_without_clips_has_an_empty_row():
    figure = plot_confusion_matrix(np.array([[3, 0], [0, 0]]), ["a", "b"])
    assert cell_texts(figure) == ["3\n100 %", "0\n0 %", "0\n0 %", "0\n0 %"]


def legend_texts(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_binary_roc_curve_passes_through_the_decision():
    predictions = perfect_predictions()
    metrics = metrics_of(predictions, num_resamples=50)
    figure = plot_roc_curve(predictions, metrics)
    curves = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert curves["most probable class"] == [[0, 1]]
    assert curves["guessing: 50 %"] == [[0, 0], [1, 1]]
    assert legend_texts(figure)[1].startswith("class1: 100.0 %")


def test_roc_curve_is_of_the_positive_class_at_the_first_index():
    # Of 40 fights 35 are found, of 24 other clips 2 are taken for fights.
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["fight", "no_fight"])
    metrics = metrics_of(predictions, positive=0, num_resamples=20)
    figure = plot_roc_curve(predictions, metrics)
    curves = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert curves["most probable class"] == [[2 / 24, 35 / 40]]
    assert legend_texts(figure)[1].startswith("fight: 89.6 %")


def test_roc_curve_marks_where_a_threshold_decides():
    # Probabilities of fight are 0.8 and 0.2: from 0.1 on all clips are fights.
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["fight", "no_fight"])
    metrics = metrics_of(predictions, positive=0, num_resamples=20)
    metrics["calibration"] = {"threshold": {"class_name": "no_fight", "probability": 0.9}}
    figure = plot_roc_curve(predictions.decided(Threshold("no_fight", 0.9)), metrics)
    curves = {line.get_label(): line.get_xydata().tolist() for line in figure.axes[0].lines}
    assert curves["threshold 10.0 %"] == [[1, 1]]


def test_two_classes_without_a_positive_one_have_a_roc_curve_each():
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["cats", "dogs"])
    figure = plot_roc_curve(predictions, metrics_of(predictions, positive=None, num_resamples=20))
    assert sorted(text.split(":")[0] for text in legend_texts(figure)) == ["cats", "dogs", "guessing"]


def test_roc_of_many_classes_names_the_worst():
    predictions = make_predictions(50, 400, signal=3.0)
    metrics = metrics_of(predictions, num_resamples=20)
    figure = plot_roc_curve(predictions, metrics)
    areas = {name: of_class["auc"]["value"] for name, of_class in metrics["per_class"].items()}
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
    figure = plot_training_curves(history)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xlabel() == "step"
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[10, 0.8], [30, 0.5]]


def test_training_curves_over_epochs():
    figure = plot_training_curves(HISTORY)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Accuracy", "Learning rate"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch"] * 3
    assert legend_texts(figure) == ["training", "validation"]


@pytest.mark.parametrize("history", [[], [{"step": 1, "clips_per_second": 3.0}]])
def test_there_are_no_training_curves_without_a_history(history):
    assert plot_training_curves(history) is None


def test_changes_of_activations_are_marked_in_loss_and_accuracy_at_their_epoch():
    figure = plot_training_curves(HISTORY, LIGHT, [CHANGE])
    marked = [[line for line in axes.lines if line.get_linestyle() == ":"] for axes in figure.axes]
    assert [len(lines) for lines in marked] == [1, 1, 0]
    assert list(marked[0][0].get_xdata()) == [0.5, 0.5]
    assert [text.get_text() for text in figure.axes[0].texts] == ["leaky_relu"]


def test_mistakes_without_a_mistake_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        plot_mistakes([])


def test_png_has_the_colors_of_its_theme_and_the_same_bytes_again():
    draw = [png(plot_confusion_matrix(np.eye(2, dtype=int), ["a", "b"], theme)) for theme in (LIGHT, DARK, LIGHT)]
    assert draw[0] == draw[2]
    corners = [cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[0, 0, ::-1] for content in draw]
    assert [struct.pack("3B", *corner).hex() for corner in corners] == ["ffffff", "1b2026", "ffffff"]
