import cv2
import numpy as np

from jaxvid.compare.reading import read_run
from jaxvid.compare.report import Content, chart, page
from jaxvid.compare.runs import group_runs
from tests.compare.made_up import write_run
from tests.report.made_up import Page


def test_the_chart_is_drawn_for_light_and_dark(tmp_path):
    groups = group_runs([read_run(write_run(tmp_path / "a", "abc")), read_run(write_run(tmp_path / "b", "ab", seed=1))])
    images = chart(groups)
    light, dark = (
        cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) for image in (images.light, images.dark)
    )
    assert light.shape == dark.shape
    assert light[0, 0].min() > 200
    assert dark[0, 0].max() < 60


def test_the_page_counts_runs_and_systems_and_shows_every_table(tmp_path):
    runs = [read_run(write_run(tmp_path / "a", "abc"))]
    groups = group_runs(runs)
    plot = chart(groups)
    content = Content(
        systems=[["system"], ["one"]],
        runs=[["run"], ["two"]],
        differences=[["first"]],
        across=[[["Accuracy"], ["three"]]],
        cautions=["a caution"],
        accuracies=plot,
        curves=None,
        matrix=plot,
    )
    parsed = Page(page(groups, content))
    assert "1 run of 1 system." in parsed.text
    assert parsed.cautions() == ["a caution"]
    assert {"one", "two", "three"} <= set(parsed.texts)
    assert "Across datasets" in parsed.text
    assert "ROC curves" not in parsed.text
    without = Page(page(groups, content._replace(curves=plot, across=[], matrix=None)))
    assert "Across datasets" not in without.text
    assert "ROC curves" in without.text
    assert "No two systems were evaluated on the same clips and classes." in parsed.text
