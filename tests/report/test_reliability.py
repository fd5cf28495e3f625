import numpy as np
import pytest

from jaxvid.report.plots import DARK
from jaxvid.report.reliability import plot_reliability
from tests.report.made_up import make_predictions, metrics_of
from tests.tiny import predictions_from_confusion


def test_the_diagram_shows_the_bins_and_their_counts():
    # 30 of 40 clips right, all with 80 %.
    figure = plot_reliability(metrics_of(predictions_from_confusion([[15, 5], [5, 15]])))
    above, below = figure.axes
    (points,) = (line.get_xydata() for line in above.lines if line.get_label() == "share right")
    np.testing.assert_allclose(points, [[0.8, 0.75]])
    assert [text.get_text() for text in below.texts if text.get_text()] == ["40"]
    assert [bar.get_height() for bar in below.patches if bar.get_height()] == [40]
    (bar,) = (bar for bar in below.patches if bar.get_height())
    assert bar.get_x() == pytest.approx(11 / 15)
    assert bar.get_width() == pytest.approx(1 / 15)


def test_the_diagram_shows_the_curve_before_calibration_too():
    metrics = metrics_of(predictions_from_confusion([[15, 5], [5, 15]]))
    before = metrics_of(predictions_from_confusion([[15, 5], [5, 15]], confidence=0.95))
    above = plot_reliability({**metrics, "calibration": {"before": before}}).axes[0]
    curves = {line.get_label(): line.get_xydata() for line in above.lines}
    np.testing.assert_allclose(curves["before calibration"], [[0.95, 0.75]])
    np.testing.assert_allclose(curves["after calibration"], [[0.8, 0.75]])


@pytest.mark.parametrize(("num_classes", "left"), [(2, 7 / 15), (3, 5 / 15), (50, 0)])
def test_the_diagram_begins_where_the_most_probable_class_can(num_classes, left):
    figure = plot_reliability(metrics_of(make_predictions(num_classes, 60)), DARK)
    assert [axes.get_xlim()[0] for axes in figure.axes] == [pytest.approx(left)] * 2
