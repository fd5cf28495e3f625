import dataclasses

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from jaxvid.compare.reading import read_run
from jaxvid.compare.roc import mean_curve, roc_plot
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run


def test_the_mean_of_curves_by_hand():
    # One rises at 0, the other at 0.5.
    steps = [(np.asarray([0.0, 0.0, 1.0]), np.asarray([0.0, 1.0, 1.0]))]
    steps += [(np.asarray([0.0, 0.5, 0.5, 1.0]), np.asarray([0.0, 0.0, 1.0, 1.0]))]
    curve = mean_curve(steps)
    assert curve is not None
    np.testing.assert_allclose(curve[0], [0, 0, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(curve[1], [0, 0.5, 0.5, 1, 1, 1])
    assert mean_curve([]) is None


def test_the_area_under_the_mean_curve_is_the_mean_of_the_areas():
    rng = np.random.default_rng(0)
    curves, areas = [], []
    for size in (9, 20, 31):
        positive = rng.permutation(np.arange(size) % 2 == 0)
        # One digit, so that scores tie.
        scores = np.round(rng.normal(size=size) + positive, 1)
        false_rate, true_rate, _ = roc_curve(positive, scores)
        curves.append((false_rate, true_rate))
        areas.append(roc_auc_score(positive, scores))
    curve = mean_curve(curves)
    assert curve is not None
    assert np.trapezoid(curve[1], curve[0]) == pytest.approx(np.mean(areas))


def test_the_plot_has_a_curve_for_each_system_in_light_and_dark(tmp_path):
    runs = [write_run(tmp_path / "a", "abcdefgh"), write_run(tmp_path / "b", "abci", model__arch="C6R1D2")]
    groups = group_runs([read_run(run) for run in runs])
    images, single = roc_plot(groups), roc_plot(groups[:1])
    assert images is not None
    assert single is not None
    light, dark = (
        cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) for image in dataclasses.astuple(images)
    )
    assert light.shape == dark.shape
    assert light[0, 0].min() > 200
    assert dark[0, 0].max() < 60
    # The second system's color, #c8500a of the light theme, in OpenCV's order.
    assert (light == (0x0A, 0x50, 0xC8)).all(-1).sum() > 100
    alone = cv2.imdecode(np.frombuffer(single.light, np.uint8), cv2.IMREAD_COLOR)
    assert not (alone == (0x0A, 0x50, 0xC8)).all(-1).any()


def test_a_system_of_one_class_has_no_curve(tmp_path):
    workdir = write_run(tmp_path / "a", "abcdefgh")
    lines = (workdir / "predictions.csv").read_text().splitlines()
    (workdir / "predictions.csv").write_text("\n".join([lines[0], *lines[1::2]]) + "\n")
    assert roc_plot(group_runs([read_run(workdir)])) is None
