import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxvid.predict import embeddings
from jaxvid.predict.batches import Classified
from jaxvid.predict.embeddings import embeddings_file
from jaxvid.predict.files import PredictOptions, named_videos, predict_videos
from jaxvid.predict.windows import Window
from tests.predict.made_videos import red_predictor, redness, write_red
from tests.predict.test_shared_frames import config_of, load


def red_embedder():
    """A predictor whose embedding is the probability of a fight, twice and three times as much."""

    def embed(_, inputs):
        probabilities = redness(_, inputs)
        return probabilities, (probabilities[:, 1:] * [1, 2, 3]).astype(np.float32)

    return dataclasses.replace(red_predictor(), embeddings=embed)


def rows_of(path):
    table = pq.read_table(path)
    return table.to_pylist(), table.schema


def test_every_window_has_a_row_with_its_embedding(tmp_path):
    first = write_red(tmp_path / "a.avi", [0.2] * 3)
    second = write_red(tmp_path / "b.avi", [0.8] * 2)
    (tmp_path / "broken.mp4").touch()
    options = PredictOptions(embeddings=tmp_path / "out" / "windows.parquet")
    videos = named_videos([first, tmp_path / "broken.mp4", second])
    predict_videos(red_embedder(), videos, tmp_path / "out", options)
    rows, schema = rows_of(options.embeddings)
    # Videos are decoded beside each other, and the first to end comes first.
    rows.sort(key=lambda row: (row["video"], row["start"]))
    assert [(row["video"], row["start"], row["end"]) for row in rows] == [
        (str(first), pytest.approx(start, abs=1e-3), pytest.approx(start + 1, abs=1e-3)) for start in (0.0, 0.25, 0.5)
    ] + [(str(second), 0.0, pytest.approx(1.0, abs=1e-3))]
    assert rows[0]["probability_fight"] == pytest.approx(0.2, abs=0.02)
    assert rows[3]["probability_calm"] == pytest.approx(0.2, abs=0.02)
    for row in rows:
        np.testing.assert_allclose(row["embedding"], np.multiply(row["probability_fight"], [1, 2, 3]), rtol=1e-6)
    assert [str(field.type) for field in schema][1:] == [
        "double", "double", "float", "float", "fixed_size_list<element: float>[3]"
    ]  # fmt: skip


def classified(video, start):
    window = Window(start, start + 1, (np.zeros((2, 2, 3), np.uint8),), (0,), 1, np.zeros(0, np.int16))
    return Classified(video, window, np.asarray([0.25, 0.75]), np.asarray([video, start], np.float32))


def test_rows_are_written_in_groups_and_those_of_a_short_video_are_together(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "_ROWS_OF_VIDEO", 4)
    monkeypatch.setattr(embeddings, "_ROWS_OF_GROUP", 5)
    path = tmp_path / "windows.parquet"
    with embeddings_file(path, ["a", "b"], ["calm", "fight"]) as file:
        for start in range(3):
            file.add(classified(0, start))
            file.add(classified(1, start))
            assert sum(map(len, file._waiting.values())) + len(file._rows) < 9
        file.end_video(1)
        for start in range(3, 10):
            file.add(classified(0, start))
        assert not path.exists()
        file.end_video(0)
    rows, _ = rows_of(path)
    assert [(row["video"], row["start"]) for row in rows] == [("b", i) for i in range(3)] + [
        ("a", i) for i in range(10)
    ]
    assert [row["embedding"] for row in rows][3:5] == [[0, 0], [0, 1]]
    assert pq.ParquetFile(path).metadata.num_row_groups == 2


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    path = tmp_path / "windows.parquet"

    def write_and_stop():
        with embeddings_file(path, ["a"], ["calm", "fight"]) as file:
            file.add(classified(0, 0.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert list(tmp_path.iterdir()) == []
    with embeddings_file(path, ["a"], ["calm", "fight"]):
        pass
    rows, schema = rows_of(path)
    assert rows == []
    assert schema.names == ["video", "start", "end", "probability_calm", "probability_fight", "embedding"]


def test_another_extension_is_refused_before_anything_is_read(tmp_path):
    options = PredictOptions(embeddings=tmp_path / "windows.csv")
    with pytest.raises(ValueError, match="windows.csv; allowed: a file name that ends in .parquet"):
        predict_videos(red_embedder(), {Path("no video"): Path("v")}, tmp_path, options)


def random_clips(num_clips, num_frames=4):
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 200, (num_clips, num_frames, 1, 1, 3)) + rng.integers(0, 56, (num_clips, 4, 36, 40, 3))
    return colors.astype(np.uint8)


def test_clips_have_the_mean_and_the_mean_change_of_their_features_as_embedding():
    predictor = load(config_of("cnn_lstm"))
    clips = random_clips(3)
    frames = clips.reshape(-1, 36, 40, 3)
    rows = [np.asarray(predictor.stream_programs.features(predictor.variables, frames[i : i + 4])) for i in (0, 4, 8)]
    features = np.stack(rows)[:, :, 0]
    expected = np.concatenate([features.mean(1), np.abs(np.diff(features, axis=1)).mean(1)], axis=1)
    found = predictor.embed(clips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Two real frames: one change.
    [short] = predictor.embed(clips[:1], num_frames=[2])
    two = features[0, :2]
    np.testing.assert_allclose(short, np.concatenate([two.mean(0), np.abs(two[1] - two[0])]), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"clips have shape \(3, 3, 36, 40, 3\); expected \(batch, 4, 36, 40, 3\)"):
        predictor.embed(clips[:, :3])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "length"),
    [("lrcn", 2 * 64), ("backbone_lstm", 2 * 12), ("motion_pool", 8), ("genre_crnn", 2 * 12), ("convlstm", 4 * 64)],
)
def test_every_architecture_embeds_clips(tiny_backbone, name, length):
    sides = {"lrcn": 64, "convlstm": 48}
    predictor = load(config_of(name, side=sides.get(name, 32)))
    clips = random_clips(3)
    embeddings = predictor.embed(clips)
    assert embeddings.shape == (3, length)
    np.testing.assert_allclose(predictor.embed(clips[1:2]), embeddings[1:2], rtol=1e-4, atol=1e-5)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3
