import csv

import numpy as np
import pytest

from jaxvid.calibration import Threshold
from jaxvid.metrics.predictions import Predictions, average_views, by_view, read_csv, vote_of_views, write_csv

AWKWARD_NAMES = [
    "a,b.avi",
    'say "fight".mp4',
    "Схватка 打架.avi",
    "-v\n1.avi",
    "carriage\rreturn.avi",
    "latin\udce9.avi",
]


def make_predictions(**changes):
    fields = {
        "clips": ["a.avi", "b.avi", "c.avi"],
        "sources": ["x", "x", "y"],
        "labels": np.array([0, 1, 1]),
        "probabilities": np.array([[0.75, 0.25], [0.4, 0.6], [0.9, 0.1]]),
        "class_names": ["no_fight", "fight"],
    }
    return Predictions(**(fields | changes))


def test_predicted_is_the_most_probable_class():
    assert make_predictions().predicted.tolist() == [0, 1, 0]


def test_a_threshold_chooses_the_class_and_the_file_keeps_it(tmp_path):
    # Probabilities of fight: 0.25, 0.6, 0.1.
    decided = make_predictions().decided(Threshold("fight", 0.25))
    assert decided.predicted.tolist() == [1, 1, 0]
    assert make_predictions().decided(Threshold("no_fight", 0.95)).predicted.tolist() == [1, 1, 1]
    write_csv(decided, tmp_path / "predictions.csv")
    assert read_csv(tmp_path / "predictions.csv").predicted.tolist() == [1, 1, 0]
    assert decided.decided(None).predicted.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["fight"]}, "class_names"),
        ({"class_names": ["fight", "fight"]}, "class_names"),
        ({"sources": ["x"]}, "sources must have one entry for each of 3 clips, got 1"),
        ({"labels": np.array([0, 1]), "probabilities": np.full((2, 2), 0.5)}, "labels must have shape"),
        ({"labels": np.array([0, 2, 1])}, "label of clip 'b.avi' must be 0 to 1, got 2"),
        ({"labels": np.array([0, 1, -1])}, "label of clip 'c.avi' must be 0 to 1, got -1"),
        ({"probabilities": np.ones((3, 3)) / 3}, "probabilities must have shape"),
        ({"probabilities": np.array([[0.5, 0.5], [2.0, -1.0], [1.0, 0.0]])}, "clip 'b.avi'"),
        ({"probabilities": np.array([[0.5, 0.5], [1.0, 0.0], [np.nan, 1.0]])}, "clip 'c.avi'"),
        ({"probabilities": np.array([[0.5, 0.7], [1.0, 0.0], [0.0, 1.0]])}, "clip 'a.avi'"),
    ],
)
def test_inconsistent_predictions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_predictions(**changes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_csv_gives_back_every_digit_and_name(tmp_path, dtype):
    logits = np.random.default_rng(0).normal(scale=8, size=(6, 3))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(dtype)
    labels = np.array([0, 2, 1, 1, 0, 2])
    names = ["walk", 'jump, "high"', "走る"]
    written = Predictions(AWKWARD_NAMES, AWKWARD_NAMES[::-1], labels, probabilities, names)
    path = tmp_path / "predictions.csv"
    write_csv(written, path)

    read = read_csv(path)
    assert read.clips == AWKWARD_NAMES
    assert read.sources == AWKWARD_NAMES[::-1]
    assert read.class_names == names
    np.testing.assert_array_equal(read.labels, labels)
    np.testing.assert_array_equal(read.probabilities, probabilities.astype(np.float64))
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]


def test_csv_has_the_documented_columns(tmp_path):
    write_csv(make_predictions(), tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["clip", "source", "label", "predicted", "probability_no_fight", "probability_fight"],
        ["a.avi", "x", "no_fight", "no_fight", "0.75", "0.25"],
        ["b.avi", "x", "fight", "fight", "0.4", "0.6"],
        ["c.avi", "y", "fight", "no_fight", "0.9", "0.1"],
    ]


def test_predictions_without_clips_are_read_back(tmp_path):
    empty = make_predictions(clips=[], sources=[], labels=np.zeros(0, int), probabilities=np.zeros((0, 2)))
    write_csv(empty, tmp_path / "predictions.csv")
    assert read_csv(tmp_path / "predictions.csv").probabilities.shape == (0, 2)


def test_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("old")
    unwritable = make_predictions(clips=["a.avi", "high surrogate \ud83d", "c.avi"])
    with pytest.raises(UnicodeEncodeError):
        write_csv(unwritable, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("clip,label\n", "columns must be clip, source, label, predicted"),
        ("clip,source,label,predicted,score\n", "got clip, source, label, predicted, score"),
        ("clip,source,label,predicted,probability_a,probability_b\nx,y,a,a,1.0\n", "line 2: 6 values expected, got 5"),
        (
            "clip,source,label,predicted,probability_a,probability_b\nx,y,c,a,1.0,0.0\n",
            "line 2: label must be one of a, b",
        ),
        (
            "clip,source,label,predicted,probability_a,probability_b\nx,y,a,c,1.0,0.0\n",
            "line 2: predicted must be one of a, b, got 'c'",
        ),
        (
            "clip,source,label,predicted,probability_a,probability_b\nx,y,a,a,1.0,zero\n",
            "line 2: probabilities must be numbers",
        ),
    ],
)
def test_a_csv_file_of_another_kind_is_refused(tmp_path, text, message):
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_csv(path)
    assert str(path) in str(error.value)


def test_average_views_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9]], dtype=np.float32)
    averaged = average_views(np.array([1, 0, 1, 1]), probabilities, 2)
    np.testing.assert_allclose(averaged, [[0.2, 0.8], [0.5, 0.5]], atol=1e-7)


def test_the_vote_of_views_by_hand():
    views = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.4, 0.6]])
    votes = vote_of_views(np.array([0, 0, 0, 1, 1]), views, 2)
    # Two of three views predict the second class, their mean the first; with one view each, the mean decides.
    mean_0, mean_1 = np.array([1.7, 1.3]) / 3, np.array([0.65, 0.35])
    np.testing.assert_allclose(votes, [(np.array([1, 2]) + mean_0 / 2) / 3.5, (np.array([1, 1]) + mean_1 / 2) / 2.5])
    assert votes.argmax(axis=1).tolist() == [1, 0]
    np.testing.assert_allclose(votes.sum(axis=1), 1)


def test_views_keep_the_name_source_and_class_of_their_clip():
    clips = Predictions(["a.avi", "b.avi"], ["s", "t"], np.array([1, 0]), np.array([[0.5, 0.5]] * 2), ["no", "yes"])
    views = by_view(clips, np.array([1, 0, 1]), np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]))
    assert views.clips == ["a.avi#0", "b.avi#0", "b.avi#1"]
    assert views.sources == ["s", "t", "t"]
    np.testing.assert_array_equal(views.labels, [1, 0, 0])
    np.testing.assert_array_equal(views.probabilities, [[0.2, 0.8], [0.1, 0.9], [0.3, 0.7]])


def test_average_views_wants_a_view_of_every_clip():
    with pytest.raises(ValueError, match="1 of 3 clips have none; the first is clip 1"):
        average_views(np.array([0, 2]), np.full((2, 2), 0.5), 3)


@pytest.mark.parametrize("index", [-1, 2])
def test_average_views_wants_indices_in_range(index):
    with pytest.raises(ValueError, match=f"clip_index must be 0 to 1, got {index}"):
        average_views(np.array([0, index, 1]), np.full((3, 2), 0.5), 2)


def test_names_in_the_file_start_no_formula_and_come_back(tmp_path):
    names = ["=1+1", "'=1+1", "-abc_0.avi", "@a", "plain.avi"]
    predictions = Predictions(names, names, np.array([0, 1, 0, 1, 0]), np.full((5, 2), 0.5), ["=fight", "calm"])
    write_csv(predictions, tmp_path / "predictions.csv")
    cells = [line.split(",") for line in (tmp_path / "predictions.csv").read_text().splitlines()[1:]]
    assert all(not cell.startswith(("=", "-", "@", "+")) for row in cells for cell in row)
    read = read_csv(tmp_path / "predictions.csv")
    assert (list(read.clips), list(read.sources), read.class_names) == (names, names, ["=fight", "calm"])
    assert read.labels.tolist() == [0, 1, 0, 1, 0]
