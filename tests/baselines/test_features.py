import numpy as np
import pytest

from jaxvid.baselines.features import file_features, pixel_features, videos_of
from tests.baselines.made_up import make_row, make_table


def of_rows(features, *rows):
    return features(videos_of(make_table(rows)))


def test_a_file_has_length_size_frame_rate_bytes_and_sound():
    names, values = of_rows(file_features, make_row("a"), make_row("b", has_sound=False, height=480))
    assert names == ("length", "frame height", "frame width", "frame rate", "bytes a frame", "sound or not")
    # 5000 bytes of 4 s at 25 frames per second.
    np.testing.assert_array_equal(values, [[4, 240, 320, 25, 50, 1], [4, 480, 320, 25, 50, 0]])


def test_stored_frames_tell_length_and_rate_where_the_file_does_not():
    _, values = of_rows(
        file_features,
        make_row("a", file=None),
        make_row("b", seconds=None),
        make_row("c", fps=10.0, num_frames=30),
        make_row("d", fps=10.0, file=None, num_frames=30),
    )
    nan = np.nan
    np.testing.assert_array_equal(values[:2], [[4, nan, nan, 12.5, nan, nan], [4, 240, 320, 25, 50, 1]])
    # Of a file whose header is known, that counts: the stored frames may be fewer.
    np.testing.assert_array_equal(values[2:], [[4, 240, 320, 25, 50, 1], [3, nan, nan, 10, nan, nan]])


def test_a_header_without_a_frame_rate_does_not_tell_the_bytes_a_frame():
    _, values = of_rows(file_features, make_row("a").copy() | {"file": make_row("a")["file"] | {"fps": None}})
    np.testing.assert_array_equal(values, [[4, 240, 320, 12.5, np.nan, 1]])


def test_sequences_of_a_video_are_one_video():
    rows = [
        make_row("b", number=0, file=None, change={"mean": 1.0}),
        make_row("b", number=1, file=None, change={"mean": 4.0}, num_frames=25),
        make_row("a", number=0, file=None, change={"mean": 7.0}),
    ]
    videos = videos_of(make_table(rows))
    assert videos.names == ["b", "a"]
    assert videos.first.tolist() == [0, 2]
    # 75 and 50 frames, 12.5 per second.
    assert file_features(videos).values[:, 0].tolist() == [6, 4]
    names, values = pixel_features(videos)
    assert names == ("mean", "spread", "maximum", "spread over time", "maximum over time")
    assert values.tolist() == pytest.approx(np.asarray([[2.5, 2, 3, 4, 5], [7, 2, 3, 4, 5]]))
