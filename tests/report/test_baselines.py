"""The section of a report on baselines."""

import numpy as np

from jaxvid.baselines.fit import FittedBaseline
from jaxvid.baselines.metrics import compare_with_baselines, without_training_clips
from tests.report.made_up import HOSTILE, Page, make_predictions, metrics_of, page_of


def page_with_baselines(network, baseline, trained_on="movies, split train"):
    """A page on which every baseline has the predictions of `baseline`."""
    fitted = {name: FittedBaseline(baseline, [], [], []) for name in ("commonest_class", "file", "pixel_change")}
    compared = compare_with_baselines(network, fitted, trained_on, num_resamples=50)
    return page_of(network, metrics=metrics_of(network) | {"baselines": compared})


def right_on(num_right):
    labels = np.arange(24) % 2
    predicted = np.where(np.arange(24) < num_right, labels, 1 - labels)
    return make_predictions(labels=labels, probabilities=np.eye(2)[predicted] * 0.6 + 0.2)


def test_the_network_and_the_baselines_are_in_one_table():
    page = page_with_baselines(right_on(22), right_on(12))
    assert "Fitted on the training clips (movies, split train)" in page.text
    # 22 and 12 of 24 clips: 41.7 points.
    assert page.text.index("the network91.7 %") < page.text.index("commonest class50.0 %")
    assert page.text.count("+41.7") == 3
    assert not any("motion" in caution for caution in page.cautions())


def test_a_network_that_may_have_learned_scenes_has_a_caution():
    page = page_with_baselines(right_on(13), right_on(12))
    assert any(caution.endswith("it may have learned scenes, not motion.") for caution in page.cautions())


def test_names_from_outside_are_escaped():
    page = page_with_baselines(right_on(13), right_on(12), trained_on=HOSTILE)
    assert page.attributes("script") == []


def test_without_training_clips_the_section_says_so():
    network = right_on(20)
    page: Page = page_of(network, metrics=metrics_of(network) | {"baselines": without_training_clips("movies/64x64")})
    assert "There are no baselines: the training clips, of movies/64x64" in page.text
    assert not any("baselines" in caution for caution in page.cautions())
