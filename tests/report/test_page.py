import numpy as np
import pytest
from scipy import stats

from jaxvid.report.activations import Adaptation
from jaxvid.report.page import render_page
from jaxvid.report.report import PLOTS
from tests.report.made_up import (
    BEST,
    CHANGE,
    HOSTILE,
    Page,
    hostile_predictions,
    make_predictions,
    metrics_of,
    page_of,
    perfect_predictions,
    plain_square,
)
from tests.tiny import predictions_from_confusion


@pytest.mark.parametrize("num_classes", [2, 6])
def test_page_is_accessible(num_classes):
    page = page_of(make_predictions(num_classes))
    assert page.attributes("html") == [{"lang": "en"}]
    assert len(page.attributes("title")) == len(page.attributes("h1")) == 1
    assert all(len(attributes["alt"]) > 10 for attributes in page.attributes("img"))
    assert all(attributes["scope"] in ("col", "row") for attributes in page.attributes("th"))


def test_page_has_the_accuracy_in_words():
    # 20 of 24 right: two mistakes of either class.
    labels = np.arange(24) % 2
    predicted = labels.copy()
    predicted[:4] = 1 - predicted[:4]
    predictions = make_predictions(labels=labels, probabilities=np.eye(2)[predicted] * 0.6 + 0.2)
    text = page_of(predictions, details={"Config": "configs/shdn.py", "Split": "test"}).text
    assert "83.3 % of the clips were classified correctly: 20 of 24 (95 % interval" in text
    assert "cut from 12 source videos" in text
    assert "Of 12 clips of class1, 10 were found and 2 missed. Of 12 clips predicted as class1, 2 were class0." in text
    assert "The model misclassified 4 clips. Frames" in text
    assert "clip0.avi, from video0is class0, predicted as class1 with probability 80.0 % (class0 20.0 %)" in text
    assert "configs/shdn.py" in text
    assert "small test set" in text


def test_page_names_the_positive_class_at_the_first_index_and_how_it_was_chosen():
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["Fight", "NonFight"])
    page = page_of(predictions, metrics=metrics_of(predictions, positive=0, num_resamples=20))
    assert "Positive class: Fight (the other name negates it)." in page.text
    assert "Of 40 clips of Fight, 35 were found and 5 missed." in page.text
    assert "Of 37 clips predicted as Fight, 2 were NonFight." in page.text
    assert "The positive class is Fight." in page.text
    assert "Recall of Fight" in page.text
    assert "of NonFight" not in page.text


def test_page_says_that_the_positive_class_was_given():
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["cats", "dogs"])
    page = page_of(predictions, metrics=metrics_of(predictions, positive=0, num_resamples=20))
    assert "Positive class: cats (chosen by positive_class)." in page.text


def test_page_asks_for_the_positive_class_where_neither_name_tells_it():
    predictions = predictions_from_confusion([[35, 5], [2, 22]], class_names=["cats", "dogs"])
    page = page_of(predictions, metrics=metrics_of(predictions, positive=None, num_resamples=20))
    note = page.cautions()[-1]
    assert "neither name (cats or dogs) tells which class it is" in note
    assert "Set dataset.positive_class" in note
    assert "Recall, mean of the classes" in page.text
    assert "Recall of" not in page.text


def test_cautions_of_the_evaluation_stand_in_the_head_one_a_paragraph():
    details = {
        "Data": "video_folder/128x128, split test",
        "Caution": "3 source videos, such as <a>, are in the training split too\nfight: 25 fps, no_fight: 30 fps",
        "Left out": "a.avi: no frames\nb.avi: cut",
    }
    page = page_of(perfect_predictions(), details=details)
    lines = page.cautions()
    assert lines[0] == "3 source videos, such as <a>, are in the training split too"
    assert lines[1] == "fight: 25 fps, no_fight: 30 fps"
    # Before the first section, and not repeated among the details.
    assert page.text.index("3 source videos") < page.text.index("Confusion matrix")
    assert page.text.count("3 source videos") == 1
    assert "Caution" not in page.text
    # Other values keep their lines.
    assert [tag for tag, _ in page.elements].count("br") == 1
    assert "a.avi: no frames" in page.texts
    assert "b.avi: cut" in page.texts


def test_page_without_cautions_has_no_box_for_them():
    predictions = make_predictions(num_clips=2000, signal=2.0)
    assert page_of(predictions, details={"Split": "test"}).cautions() == []


def test_page_names_the_most_frequent_confusion():
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([0, 1, 1, 1, 0, 0, 2])
    predictions = make_predictions(3, 7, labels=labels, probabilities=np.eye(3)[predicted] * 0.7 + 0.1)
    assert "The most frequent mistake: 2 clips of class2 predicted as class0." in page_of(predictions).text


def test_page_says_how_many_mistakes_it_leaves_out():
    labels = np.arange(24) % 2
    predictions = make_predictions(labels=labels, probabilities=np.eye(2)[1 - labels] * 0.6 + 0.2)
    page = page_of(predictions)
    assert "misclassified 24 clips; these are the 8 with the highest probabilities." in page.text
    assert len(page.attributes("li")) == 5 + 8


def test_page_doubts_a_result_that_always_predicting_one_class_would_reach():
    doubt = "does not show that the model distinguishes the classes"
    assert doubt in page_of(make_predictions(signal=0.0)).text
    assert doubt not in page_of(make_predictions(signal=6.0)).text


def test_page_says_what_the_calibration_error_would_be_by_chance():
    # All clips with 80 %, three of four of them right.
    predictions = predictions_from_confusion([[9, 3], [3, 9]], clips_per_source=2)
    text = page_of(predictions).text
    assert "The expected calibration error, the mean distance from the line over all clips, is 5.0 % (" in text
    # Of 24 clips with 0.8 each, the mean distance of the number that is right from 19.2.
    by_chance = stats.binom(24, 0.8).expect(lambda right: abs(right - 19.2)) / 24
    assert f"exactly right would have an error of {100 * by_chance:.1f} % on average" in text


def calibrated_metrics():
    """Of 24 clips with 80 %, 18 are right; before, they had 95 %."""
    before = metrics_of(predictions_from_confusion([[9, 3], [3, 9]], confidence=0.95), num_resamples=20)
    metrics = metrics_of(predictions_from_confusion([[9, 3], [3, 9]]), num_resamples=20)
    fitted_on = {"num_clips": 49, "num_sources": 6}
    threshold = {"class_name": "class0", "probability": 0.7}
    metrics["calibration"] = {"temperature": 2.1, "threshold": threshold, "fitted_on": fitted_on, "before": before}
    return metrics


def test_page_shows_what_a_temperature_changes_and_the_threshold():
    page = page_of(predictions_from_confusion([[9, 3], [3, 9]]), metrics=calibrated_metrics())
    assert (
        "divided by a temperature of 2.100, which gives the least loss on 49 validation clips of 6 sources" in page.text
    )
    texts = [text.replace("\xa0", " ") for text in page.texts if text.strip()]
    first = texts.index("Expected calibration error", texts.index("Before"))
    # Each with its interval.
    assert (texts[first + 1], texts[first + 3]) == ("20.0 %", "5.0 %")
    # The positive class is the other one.
    assert "The point is where a threshold of 30.0 %, chosen on validation clips, decides" in page.text
    assert "Before" not in page_of(perfect_predictions()).texts
    assert "The point is where the most probable class decides" in page_of(make_predictions()).text


def test_large_test_set_is_not_called_small():
    assert "small test set" not in page_of(make_predictions(num_clips=2000, signal=2.0)).text


def test_names_are_escaped_everywhere():
    page = page_of(hostile_predictions(), title=HOSTILE, details={HOSTILE: HOSTILE})
    assert not page.attributes("script")
    assert not page.attributes("b")
    assert page.text.count(HOSTILE.replace("\n", " ")) > 10
    assert HOSTILE in " ".join(attributes["alt"] for attributes in page.attributes("img"))


def test_changes_of_activations_have_the_tables_of_the_paper():
    page = page_of(perfect_predictions(), adaptation=Adaptation([CHANGE], [BEST]))
    row = "0.5 celu → leaky_relu rise, best weights restored 0.773 0.600 0.475 71.00 % 75.00 % 78.50 %"
    assert "".join(row.split()) in "".join(page.texts).replace(" ", "").replace("\n", "")
    assert "celu30.70076.75%" in "".join(page.texts).replace(" ", "").replace("\n", "")
    assert "The activations did not change" in page_of(perfect_predictions(), adaptation=Adaptation([], [BEST])).text
    assert "activations" not in page_of(perfect_predictions()).text


def test_metrics_of_windows_stand_beside_those_of_clips():
    clips = perfect_predictions()
    metrics = metrics_of(clips, num_resamples=200)
    windows = make_predictions(num_clips=8, labels=np.arange(8) % 2, probabilities=np.full((8, 2), 0.5))
    metrics["views"] = metrics_of(windows, num_resamples=200)
    metrics["vote"] = {"accuracy": {"value": 0.75, "low": None, "high": None}}
    page = Page(render_page("t", metrics, {}, [], dict.fromkeys(PLOTS, plain_square())))
    assert "means over its windows, 8 windows in all" in page.text
    assert "By the class that most windows of a clip predict, 75.0 % of the clips are correct." in page.text
    texts = [text.replace("\xa0", " ") for text in page.texts if text.strip()]
    first = texts.index("Windows")
    assert texts[first : first + 6] == ["Windows", "Clips", "Accuracy", "50.0 %", "100.0 %", "Balanced accuracy"]
    # log(2) of equal probabilities, -log(0.9) of clips.
    loss = first + texts[first:].index("Loss (nats)")
    assert (texts[loss + 1], texts[loss + 2]) == ("0.693", "0.105")
