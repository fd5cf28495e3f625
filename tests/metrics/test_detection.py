import numpy as np
import pytest

from jaxvid.metrics.detection import Events, average_precision, event_metrics, match, temporal_iou

NONE = Events.of([])


def test_temporal_iou_is_the_shared_length_over_the_covered_one():
    # 0 to 4 and: itself; 2 to 6 (2 of 6 s); 1 to 2 (inside); 4 to 5 (they touch); 7 to 9.
    ious = temporal_iou(0.0, 4.0, np.array([0.0, 2.0, 1.0, 4.0, 7.0]), np.array([4.0, 6.0, 2.0, 5.0, 9.0]))
    np.testing.assert_allclose(ious, [1, 1 / 3, 1 / 4, 0, 0])


def test_a_true_event_is_matched_once_by_the_most_probable_event_that_reaches_the_threshold():
    true = Events.of([(0, 0.0, 10.0, 1.0)])
    # IoU 0.5, 0.8 and 0.2, and one in another video.
    found = Events.of([(0, 0.0, 5.0, 0.9), (0, 0.0, 8.0, 0.8), (0, 0.0, 2.0, 0.95), (1, 0.0, 10.0, 0.99)])
    assert match(found, true, NONE, 0.5).right.tolist() == [True, False, False, False]
    # At 0.6, only the second one reaches it; at 0.1, the third is the most probable.
    assert match(found, true, NONE, 0.6).right.tolist() == [False, True, False, False]
    assert match(found, true, NONE, 0.1).right.tolist() == [False, False, True, False]
    # Any overlap will do for all of them.
    assert match(found, true, NONE, None).right.tolist() == [True, True, True, False]


def test_an_event_takes_the_second_best_true_event_if_the_best_is_taken():
    true = Events.of([(0, 0.0, 10.0, 1.0), (0, 4.0, 12.0, 1.0)])
    # The first takes 0 to 10; the second, 1 to 10, overlaps that by 0.9 and the other one by 6 / 11.
    found = Events.of([(0, 0.0, 10.0, 0.9), (0, 1.0, 10.0, 0.8)])
    for threshold, right, seen in ((0.5, [True, True], [True, True]), (0.6, [True, False], [True, False])):
        matching = match(found, true, NONE, threshold)
        assert matching.right.tolist() == right
        assert matching.found.tolist() == seen


def test_what_was_found_where_nobody_knows_does_not_count():
    true, unknown = Events.of([(0, 0.0, 4.0, 1.0)]), Events.of([(0, 10.0, 14.0, 1.0), (0, 0.0, 4.0, 1.0)])
    # Right although unknown too; left out; a false alarm elsewhere.
    found = Events.of([(0, 0.0, 4.0, 0.9), (0, 10.0, 14.0, 0.8), (0, 20.0, 24.0, 0.7)])
    matching = match(found, true, unknown, 0.5)
    assert matching.right.tolist() == [True, False, False]
    assert matching.counted.tolist() == [True, False, True]


def test_average_precision_takes_the_highest_precision_of_any_greater_recall():
    # Precision 1, 1/2, 2/3, 2/4, 3/5 at the five; the highest from each on: 1, 2/3, 2/3, 3/5, 3/5. Four are true.
    right = np.array([True, False, True, False, True])
    assert average_precision(right, 4) == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)
    assert average_precision(np.zeros(0, bool), 4) == 0
    assert average_precision(right[:0], 0) is None


def test_rates_are_of_all_videos_and_intervals_of_resampled_ones():
    # In the first video two are right and one is a false alarm; in the second, one of two true events is missed.
    true = Events.of([(0, 0.0, 2.0, 1.0), (0, 4.0, 6.0, 1.0), (1, 0.0, 2.0, 1.0), (1, 8.0, 9.0, 1.0)])
    found = Events.of([(0, 0.0, 2.0, 0.9), (0, 4.0, 6.0, 0.8), (0, 8.0, 9.0, 0.95), (1, 0.0, 2.0, 0.7)])
    metrics = event_metrics(found, true, NONE, np.array([0.5, 1.5]), 0.5)
    assert (metrics["num_right"], metrics["num_false_alarms"], metrics["num_missed"]) == (3, 1, 1)
    assert metrics["precision"]["value"] == metrics["recall"]["value"] == metrics["f1"]["value"] == 0.75
    assert metrics["false_alarms_per_hour"]["value"] == 0.5
    # Resamples are twice the first video (2/3, 1, 1/0.5), twice the second (1, 1/2, 0), or both.
    precision, recall, alarms = (metrics[key] for key in ("precision", "recall", "false_alarms_per_hour"))
    assert (precision["low"], precision["high"]) == (pytest.approx(2 / 3), 1)
    assert (recall["low"], recall["high"]) == (0.5, 1)
    assert (alarms["low"], alarms["high"]) == (0, 2)
    # In order of probability: wrong, right, right, right; four are true.
    assert metrics["average_precision"] == pytest.approx(3 * 0.75 / 4)


def test_a_single_video_has_no_interval_and_nothing_has_no_value():
    one = Events.of([(0, 0.0, 2.0, 1.0)])
    metrics = event_metrics(one, one, NONE, np.ones(1), 0.5)
    assert metrics["precision"] == {"value": 1.0, "low": None, "high": None}
    missed = event_metrics(NONE, one, NONE, np.ones(1), 0.5)
    assert (missed["precision"]["value"], missed["recall"]["value"], missed["f1"]["value"]) == (None, 0, 0)
    assert missed["average_precision"] == 0
    quiet = event_metrics(NONE, NONE, NONE, np.ones(1), None)
    assert [quiet[key]["value"] for key in ("precision", "recall", "f1", "false_alarms_per_hour")] == [None] * 3 + [0]


def test_many_events_of_a_video_are_matched_with_those_they_overlap():
    starts = np.arange(2000) * 4.0
    found = Events(np.zeros(2000, int), starts, starts + 2, np.linspace(0, 1, 2000))
    true = Events(np.zeros(2000, int), starts[::-1] + 1, starts[::-1] + 3, np.ones(2000))
    # They share one of three seconds.
    assert match(found, true, NONE, 0.3).right.all()
    assert not match(found, true, NONE, 0.4).right.any()


def test_a_long_true_event_is_found_behind_shorter_ones():
    # In order of onsets: a long one, a short one within it, and one after what was found.
    true = Events.of([(0, 0.0, 100.0, 1.0), (0, 10.0, 11.0, 1.0), (0, 90.0, 91.0, 1.0)])
    matching = match(Events.of([(0, 50.0, 80.0, 0.9)]), true, NONE, 0.3)
    assert matching.found.tolist() == [True, False, False]
