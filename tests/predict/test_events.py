import dataclasses
import json

import numpy as np
import pytest

from jaxvid.calibration import Threshold
from jaxvid.predict.events import (
    Event,
    EventTracker,
    Segment,
    Thresholds,
    Timeline,
    event_classes,
    find_events,
    find_segments,
    write_events,
    write_segments,
    write_timeline,
)


def timeline_of(*probabilities, stride=1.0, seconds=2.0):
    """Windows of 2 s, 1 s apart, and the probabilities of "fight" in them."""
    starts = stride * np.arange(len(probabilities))
    fight = np.asarray(probabilities, float)
    return Timeline(starts, starts + seconds, np.stack([1 - fight, fight], axis=1), ["calm", "fight"])


def test_the_probabilities_of_a_window_hold_for_the_time_around_its_middle():
    # Windows from 0 to 2, 1 to 3 and 2 to 4, whose middles are 1, 2 and 3.
    timeline = timeline_of(0.1, 0.2, 0.3)
    np.testing.assert_allclose(timeline.edges, [0, 1.5, 2.5, 4])
    assert [timeline.at(seconds)[1] for seconds in (-1.0, 0.0, 1.49, 1.5, 2.6, 9.0)] == pytest.approx(
        [0.1, 0.1, 0.1, 0.2, 0.3, 0.3]
    )
    np.testing.assert_allclose(timeline.mean(), [0.8, 0.2])


def test_an_event_begins_at_the_upper_threshold_and_ends_below_the_lower_one():
    timeline = timeline_of(0.1, 0.5, 0.6, 0.9, 0.4, 0.39, 0.5)
    # Edges: 0, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 8; at 0.6 an event begins, at 0.4 it does not end.
    assert find_events(timeline, ["fight"], Thresholds(0.6, 0.4)) == [Event("fight", 2.5, 5.5, 4.0, 0.9)]


def test_an_event_may_fill_the_video():
    assert find_events(timeline_of(0.7), ["fight"], Thresholds(0.6, 0.4)) == [Event("fight", 0.0, 2.0, 1.0, 0.7)]


def test_short_events_are_discarded():
    timeline = timeline_of(0.1, 0.9, 0.1, 0.9, 0.8, 0.1)
    # They last from 1.5 to 2.5 and from 3.5 to 5.5.
    events = find_events(timeline, ["fight"], Thresholds(0.6, 0.4, min_seconds=2.0))
    assert [(event.onset, event.offset) for event in events] == [(3.5, 5.5)]


def test_events_of_several_classes_are_in_order_of_their_onset():
    timeline = Timeline(
        np.arange(3.0), np.arange(3.0) + 1, np.asarray([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1]]), list("abc")
    )
    events = find_events(timeline, list("abc"), Thresholds(0.6, 0.4))
    assert [(event.class_name, event.onset, event.offset) for event in events] == [
        ("c", 0, 1),
        ("b", 1, 2),
        ("a", 2, 3),
    ]


def test_a_tracker_reports_onsets_once_an_event_is_long_enough():
    tracker = EventTracker("fight", Thresholds(0.6, 0.4, min_seconds=2.0))
    reported = [list(tracker.update(float(i), i + 1.0, p)) for i, p in enumerate([0.1, 0.7, 0.9, 0.8, 0.1, 0.9])]
    assert reported == [
        [],
        [],
        [("onset", Event("fight", 1.0, None, 2.5, 0.9))],
        [],
        [("offset", Event("fight", 1.0, 4.0, 2.5, 0.9))],
        [],
    ]
    # An event that was not reported does not end either.
    assert list(tracker.finish(6.0)) == []


def test_events_are_of_the_classes_chosen_or_the_positive_one_or_all():
    assert event_classes(["fight", "calm"], positive_class="fight") == ["fight"]
    assert event_classes(["cats", "dogs"]) == ["cats", "dogs"]
    assert event_classes(["a", "b", "c"]) == ["a", "b", "c"]
    assert event_classes(["calm", "fight"], ["calm"], "fight") == ["calm"]
    with pytest.raises(ValueError, match="event class 'brawl' is no class of the model; allowed: calm, fight"):
        event_classes(["calm", "fight"], ["brawl"])


def test_the_positive_class_is_drawn_and_all_classes_without_one():
    timeline = timeline_of(0.1, 0.2)
    assert timeline.drawn_classes == ["calm", "fight"]
    positive = dataclasses.replace(timeline, positive_class="calm")
    assert positive.drawn_classes == ["calm"]
    assert positive.of_class("calm").tolist() == [0.9, 0.8]


@pytest.mark.parametrize(
    ("threshold", "on", "off"), [(0.5, 0.6, 0.4), (0.3, 0.44, 0.24), (0.0, 0.2, 0.0), (1.0, 1.0, 0.8)]
)
def test_thresholds_of_events_lie_around_that_of_a_decision(threshold, on, off):
    thresholds = Thresholds.around(threshold)
    assert (thresholds.on, thresholds.off) == (pytest.approx(on), pytest.approx(off))
    assert (Thresholds.around(0.5).on, Thresholds.around(0.5).off) == (0.6, 0.4)


@pytest.mark.parametrize("thresholds", [(0.4, 0.6), (1.2, 0.5), (0.5, -0.1), (float("nan"), 0.5)])
def test_thresholds_out_of_range_are_refused(thresholds):
    with pytest.raises(ValueError, match="on_threshold is .*allowed: 0 <= off_threshold <= on_threshold <= 1"):
        Thresholds(*thresholds)


def test_a_negative_duration_is_refused():
    with pytest.raises(ValueError, match="min_seconds is -1; allowed: 0 or more"):
        Thresholds(min_seconds=-1.0)


def test_timelines_and_events_are_written_as_csv_and_json(tmp_path):
    timeline = timeline_of(0.25, 0.75)
    write_timeline(timeline, tmp_path / "timeline.csv")
    assert (tmp_path / "timeline.csv").read_text().splitlines() == [
        "start,end,probability_calm,probability_fight",
        "0.000,2.000,0.750000,0.250000",
        "1.000,3.000,0.250000,0.750000",
    ]
    write_events([Event("fight", 1.5, 3.0, 2.25, 0.75)], tmp_path / "events.json")
    assert json.loads((tmp_path / "events.json").read_text()) == [
        {"class_name": "fight", "onset": 1.5, "offset": 3.0, "peak": 2.25, "probability": 0.75}
    ]
    assert len(list(tmp_path.iterdir())) == 2


def test_segments_cover_a_video_from_beginning_to_end(tmp_path):
    # Windows of 10 s, 5 s apart: their middles are 5, 10, 15 and 20, and they stand for 0 to 7.5, 12.5, 17.5 and 25 s.
    starts = np.arange(4) * 5.0
    rows = np.asarray([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    segments = find_segments(Timeline(starts, starts + 10, rows, ["action", "horror", "sports"]))
    assert [(s.start, s.end, s.class_name) for s in segments] == [
        (0.0, 12.5, "action"),
        (12.5, 17.5, "sports"),
        (17.5, 25.0, "action"),
    ]
    assert [s.probability for s in segments] == pytest.approx([0.55, 0.7, 0.8])
    write_segments(segments[:1], tmp_path / "segments.csv")
    assert (tmp_path / "segments.csv").read_text().split() == [
        "start,end,class,probability",
        "0.000,12.500,action,0.550000",
    ]


def test_a_class_that_begins_a_formula_is_quoted_in_segments(tmp_path):
    write_segments([Segment(0.0, 1.0, "=1+1", 0.5)], tmp_path / "segments.csv")
    assert (tmp_path / "segments.csv").read_text().split()[1] == "0.000,1.000,'=1+1,0.500000"


@pytest.mark.parametrize(
    ("threshold", "decided"),
    [
        (None, ["calm", "calm", "fight"]),
        (Threshold("fight", 0.3), ["calm", "fight", "fight"]),
        # The other way round: calm from 0.9 on is fight from above 0.1 on.
        (Threshold("calm", 0.9), ["fight", "fight", "fight"]),
    ],
)
def test_a_threshold_decides_and_not_the_most_probable_class(threshold, decided):
    timeline = dataclasses.replace(timeline_of(0.2, 0.3, 0.6), threshold=threshold)
    assert [timeline.decide(row) for row in timeline.probabilities] == decided
