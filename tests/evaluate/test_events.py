import json

import pytest

from jaxvid.evaluate.events import evaluate_events, read_predictions
from jaxvid.evaluate.labels import read_labels
from tests.commands import run_command

HEADER = "video,onset,offset,class"


def write_predictions(directory, events, *, seconds=1800.0, classes=("calm", "fight")):
    """Writes predictions of videos of half an hour: onset, offset and probability of each fight."""
    for name, of_video in events.items():
        output = directory / name
        output.mkdir(parents=True)
        header = ["start", "end", *(f"probability_{class_name}" for class_name in classes)]
        rows = [",".join(header), "0.000,2.000,0.5,0.5", f"1.000,{seconds:.3f},0.5,0.5"]
        (output / "timeline.csv").write_text("\n".join(rows) + "\n")
        listed = [
            {"class_name": "fight", "onset": onset, "offset": offset, "peak": onset, "probability": probability}
            for onset, offset, probability in of_video
        ]
        (output / "events.json").write_text(json.dumps(listed))
    return directory


def write_labels(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def predictions(tmp_path):
    """Half an hour each: two fights found in one video, one in another, none in a third."""
    events = {
        "videos/a.mp4": [(10.0, 20.0, 0.9), (100.0, 110.0, 0.7)],
        "videos/b.mp4": [(50.0, 60.0, 0.8)],
        "c.mp4": [],
    }
    return write_predictions(tmp_path / "predictions", events)


def test_events_are_evaluated_against_a_list_of_true_events(predictions, tmp_path, capsys):
    labels = write_labels(
        tmp_path / "labels.csv",
        # 10 to 20 was found: IoU 0.5. The second one was missed.
        "videos/a.mp4,15,20,fight",
        "videos/a.mp4,500,510,Fight",
        "b.mp4,58,70,fight",
        "c.mp4,,,",
    )
    run_command("jaxvid.evaluate", f"--labels={labels}", f"--predictions={predictions}", f"--output={tmp_path / 'out'}")
    metrics = json.loads((tmp_path / "out" / "event_metrics.json").read_text())
    assert (metrics["num_videos"], metrics["hours"], metrics["cautions"]) == (3, 1.5, [])
    assert list(metrics["classes"]) == ["fight"]
    fight = metrics["classes"]["fight"]
    assert (fight["num_true"], fight["num_found"], fight["num_left_out"]) == (3, 3, 0)
    assert list(fight["overlap"]) == ["any", "0.1", "0.2", "0.3", "0.4", "0.5"]
    # b's 50 to 60 overlaps 58 to 70 by 2 of 20 s.
    for overlap, right in (("any", 2), ("0.1", 2), ("0.2", 1), ("0.5", 1)):
        of_overlap = fight["overlap"][overlap]
        assert (of_overlap["num_right"], of_overlap["num_false_alarms"]) == (right, 3 - right)
        assert of_overlap["recall"]["value"] == pytest.approx(right / 3)
        assert of_overlap["false_alarms_per_hour"]["value"] == pytest.approx((3 - right) / 1.5)
    # In order of probability: right, right, wrong of three true ones; then right, wrong, wrong.
    areas = [fight["overlap"][overlap]["average_precision"] for overlap in ("0.1", "0.2")]
    assert areas == pytest.approx([2 / 3, 1 / 3])
    assert fight["mean_average_precision"] == pytest.approx((2 / 3 + 4 * 1 / 3) / 5)
    printed = capsys.readouterr().out
    assert "3 videos, 1.50 hours" in printed
    assert "fight  IoU 0.5      1      2       2" in printed


def test_a_review_counts_only_what_a_person_has_judged(predictions, tmp_path):
    labels = write_labels(
        tmp_path / "a.labels.csv",
        "videos/a.mp4,10.000,20.000,fight,0.900000,confirmed",
        "videos/a.mp4,100.000,110.000,fight,0.700000,unreviewed",
        "videos/a.mp4,300.000,305.000,fight,,added",
        header=HEADER + ",probability,verdict",
    )
    other = write_labels(
        tmp_path / "b.labels.csv",
        "videos/b.mp4,50.000,60.000,fight,0.800000,rejected",
        "videos/b.mp4,,,,,watched",
        header=HEADER + ",probability,verdict",
    )
    metrics = evaluate_events(predictions, [labels, other], output=tmp_path)
    fight = metrics["classes"]["fight"]
    assert (fight["num_true"], fight["num_found"], fight["num_left_out"]) == (2, 3, 1)
    for overlap in ("any", "0.5"):
        counts = [fight["overlap"][overlap][key] for key in ("num_right", "num_false_alarms", "num_missed")]
        assert counts == [1, 1, 1]
    assert metrics["cautions"] == [
        "1 of 3 predicted videos do not count, as the labels do not name them: c.mp4. A row with nothing but its name "
        "makes a video count as one without events.",
        "Events without a verdict do not count; there are 1.",
        "Recall is of the events that the network found or a person added; nobody has marked videos/a.mp4 as watched "
        "in full.",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x.mp4,1,2,fight", "line 2: 'x.mp4' was not predicted; predicted are c.mp4, videos/a.mp4, videos/b.mp4"),
        ("a.mp4,1,2,brawl", "the data has the classes brawl; the model has calm, fight"),
        ("a.mp4,2,1,fight", "line 2: onset '2', offset '1', class 'fight'; allowed: onset < offset, and a class"),
        ("a.mp4,1,2,", "line 2: onset '1', offset '2', class ''; allowed"),
        ("a.mp4,one,2,fight", "line 2: onset is 'one'; allowed: seconds from 0 on"),
        ("a.mp4,nan,2,fight", "line 2: onset is 'nan'; allowed: seconds from 0 on"),
        (",1,2,fight", "line 2: the video is missing"),
    ],
)
def test_labels_that_do_not_fit_are_refused(predictions, tmp_path, row, message):
    labels = write_labels(tmp_path / "labels.csv", row)
    with pytest.raises(ValueError, match=message):
        evaluate_events(predictions, [labels], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_of_labels_must_have_its_columns_and_known_verdicts(tmp_path):
    with pytest.raises(ValueError, match="has no column 'offset'; it has: video, onset"):
        read_labels([write_labels(tmp_path / "a.csv", header="video,onset")])
    with pytest.raises(ValueError, match="line 2: the verdict is 'maybe'; allowed: confirmed, added, rejected, unrev"):
        read_labels([write_labels(tmp_path / "a.csv", "a,1,2,fight,maybe", header=HEADER + ",verdict")])
    with pytest.raises(ValueError, match="the verdict on a video without an event is 'added'; allowed: watched"):
        read_labels([write_labels(tmp_path / "a.csv", "a,,,,added", header=HEADER + ",verdict")])
    first, second = (write_labels(tmp_path / f"{name}.csv", "a,1,2,fight") for name in "xy")
    with pytest.raises(ValueError, match=r"y.csv, line 2: a has labels in .*x.csv too"):
        read_labels([first, second])


def test_the_quote_before_a_formula_is_taken_away(tmp_path):
    path = write_labels(tmp_path / "a.csv", "'=1+1.mp4,1,2,'-x", "'quoted'.mp4,1,2,fight", "''=a,1,2,fight")
    assert [(label.video, label.class_name) for label in read_labels([path]).rows] == [
        ("=1+1.mp4", "-x"),
        ("'quoted'.mp4", "fight"),
        ("'=a", "fight"),
    ]


def test_a_name_that_several_videos_have_must_be_complete(tmp_path):
    predictions = write_predictions(tmp_path / "predictions", {"x/a.mp4": [], "y/a.mp4": []})
    with pytest.raises(ValueError, match="'a.mp4' may be any of x/a.mp4, y/a.mp4; name it as the predictions do"):
        evaluate_events(predictions, [write_labels(tmp_path / "labels.csv", "a.mp4,1,2,fight")])
    # The path in full, as a list of other origin may have it.
    labels = write_labels(tmp_path / "labels.csv", "/data/x/a.mp4,1,2,fight")
    assert evaluate_events(predictions, [labels])["num_videos"] == 1


def test_missing_predictions_and_flags_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no predictions: there is no events.json in it"):
        read_predictions(tmp_path)
    labels = write_labels(tmp_path / "labels.csv", "a.mp4,1,2,fight")
    with pytest.raises(ValueError, match="--labels and --split exclude each other"):
        run_command("jaxvid.evaluate", f"--labels={labels}", "--split=test", f"--workdir={tmp_path}")
    with pytest.raises(ValueError, match="--labels needs --predictions, or the --workdir that holds predictions/"):
        run_command("jaxvid.evaluate", f"--labels={labels}")
    with pytest.raises(ValueError, match="--workdir is missing"):
        run_command("jaxvid.evaluate")
    with pytest.raises(ValueError, match="--predictions needs --labels"):
        run_command("jaxvid.evaluate", f"--workdir={tmp_path}", "--predictions=p")
