import ml_collections
import numpy as np
import pytest

from jaxvid.data import sampling


def scheme_of(**values):
    defaults = {"sampling": "uniform", "num_frames": 4, "frame_interval": 1, "window_stride": 1, "fps": 0.0}
    defaults["speed_jitter"] = 0.0
    return sampling.create_sampling(ml_collections.ConfigDict({**defaults, **values}))


def test_uniform_takes_the_middles_of_equal_segments():
    np.testing.assert_array_equal(sampling.uniform(16, 4), [2, 6, 10, 14])
    np.testing.assert_array_equal(sampling.uniform(10, 3), [1, 5, 8])


@pytest.mark.parametrize("num_frames", [1, 3])
def test_a_short_clip_repeats_its_last_frame(num_frames):
    expected = np.minimum(np.arange(5), num_frames - 1)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(sampling.uniform(num_frames, 5), expected)
    np.testing.assert_array_equal(sampling.random_segment(num_frames, 5, rng), expected)
    np.testing.assert_array_equal(sampling.window(num_frames, 5, 1, 0), expected)
    np.testing.assert_array_equal(sampling.sliding_windows(num_frames, 5, 1, 1), [expected])


def test_random_segment_draws_every_frame_of_its_segment_and_no_other():
    rng = np.random.default_rng(0)
    draws = np.stack([sampling.random_segment(12, 3, rng) for _ in range(200)])
    assert [set(column) for column in draws.T] == [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}]


def test_sliding_windows_end_on_the_last_frame():
    windows = sampling.sliding_windows(10, 4, 1, 4)
    np.testing.assert_array_equal(windows, [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9]])
    np.testing.assert_array_equal(sampling.sliding_windows(8, 4, 1, 4), [[0, 1, 2, 3], [4, 5, 6, 7]])
    np.testing.assert_array_equal(sampling.sliding_windows(7, 3, 2, 2), [[0, 2, 4], [2, 4, 6]])


def test_all_windows_of_stride_one():
    windows = sampling.sliding_windows(6, 4, 1, 1)
    np.testing.assert_array_equal(windows, [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]])


@pytest.mark.parametrize(
    ("num_frames", "fps", "target_fps", "expected"),
    [
        (6, 30.0, 10.0, [0, 3]),
        (6, 10.0, 10.0, [0, 1, 2, 3, 4, 5]),
        (3, 10.0, 20.0, [0, 0, 1, 1, 2, 2]),
        (5, 25.0, 15.0, [0, 1, 3]),
        (1, 25.0, 2.0, [0]),
    ],
)
def test_resampling_shows_the_frame_last_begun(num_frames, fps, target_fps, expected):
    np.testing.assert_array_equal(sampling.resampled(num_frames, fps, target_fps), expected)


def test_consecutive_training_windows_start_anywhere_and_stay_inside():
    rng = np.random.default_rng(0)
    scheme = scheme_of(sampling="consecutive")
    draws = np.stack([scheme.train(7, 25.0, rng) for _ in range(100)])
    assert set(draws[:, 0]) == {0, 1, 2, 3}
    assert (np.diff(draws) == 1).all()


def test_evaluation_shows_all_windows_of_a_resampled_clip():
    scheme = scheme_of(sampling="fps", fps=5.0, num_frames=2, window_stride=2)
    np.testing.assert_array_equal(scheme.evaluate(20, 20.0), [[0, 4], [8, 12], [12, 16]])


def test_sliding_windows_are_counted_and_leave_out_no_frame():
    scheme = scheme_of(sampling="sliding_window", window_stride=3)
    num_frames = np.asarray([3, 4, 5, 7, 9, 10])
    np.testing.assert_array_equal(scheme.count(num_frames), [1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(scheme.evaluate(9, 25.0), [[0, 1, 2, 3], [3, 4, 5, 6], [5, 6, 7, 8]])
    np.testing.assert_array_equal(scheme_of(sampling="consecutive").count(num_frames), [1] * 6)


def test_evaluation_of_random_segments_takes_their_middles_each_time():
    scheme = scheme_of(sampling="random_segment")
    np.testing.assert_array_equal(scheme.evaluate(16, 25.0), [[2, 6, 10, 14]])


@pytest.mark.parametrize(
    ("sampling_name", "num_views", "expected"),
    [
        ("uniform", 1, [[2, 6, 10, 14]]),
        ("uniform", 2, [[1, 5, 9, 13], [3, 7, 11, 15]]),
        ("consecutive", 1, [[6, 7, 8, 9]]),
        ("consecutive", 3, [[0, 1, 2, 3], [6, 7, 8, 9], [12, 13, 14, 15]]),
    ],
)
def test_a_number_of_views_is_spread_over_the_clip(sampling_name, num_views, expected):
    scheme = scheme_of(sampling=sampling_name)
    np.testing.assert_array_equal(scheme.evaluate(16, 25.0, num_views), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sampling": "unifrom"}, "'unifrom'; allowed: uniform, random_segment, consecutive, sliding_window, fps"),
        ({"sampling": "sliding_window", "window_stride": 5}, "interval 1 and window_stride 5.*up to num_frames, 4"),
        ({"sampling": "sliding_window", "frame_interval": 2}, "allowed .*: an interval of 1"),
        ({"num_frames": 0}, "config.clip.num_frames is 0"),
        ({"sampling": "fps"}, "config.clip.fps is 0.0"),
    ],
)
def test_bad_sampling_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        scheme_of(**values).check()


def test_no_frames_is_an_error():
    with pytest.raises(ValueError, match="num_frames must be positive, not 0"):
        sampling.uniform(0, 4)


def test_every_scheme_answers_what_the_program_asks_of_it():
    names = sampling.SAMPLINGS
    fixed = {name for name in names if scheme_of(sampling=name, fps=5.0).is_fixed}
    assert fixed == {"uniform", "sequence"}
    assert sampling.SEQUENCE_SAMPLINGS == ("sequence",)
    # Ten frames of which four are taken: one sample a clip, or windows from frames 0, 1, ... 6.
    counts = {name: int(scheme_of(sampling=name, fps=5.0).count(np.asarray([10]))[0]) for name in names}
    assert counts == dict.fromkeys(names, 1) | {"sliding_window": 7}
    assert {name: scheme_of(sampling=name, fps=5.0).frame_rate(20.0) for name in names} == {
        **dict.fromkeys(names, 20.0),
        "fps": 5.0,
    }


def test_a_clip_that_does_not_suit_the_scheme_is_explained():
    assert "allowed: 1 to 3" in scheme_of(sampling="sliding_window").misfit(3)
    assert "4fps_4frames" in scheme_of(sampling="sequence").misfit(5)
    assert scheme_of(sampling="sliding_window").misfit(4) is scheme_of(sampling="sequence").misfit(4) is None
    assert scheme_of(sampling="uniform").misfit(1) is None


@pytest.mark.parametrize(
    ("scheme_name", "expected"),
    [
        # Of 10 frames, the middles of 4 segments of 2.5; the middle window of 4; the second window of stride 3.
        ("uniform", [1, 3, 6, 8]),
        ("random_segment", [1, 3, 6, 8]),
        ("consecutive", [3, 4, 5, 6]),
        ("sliding_window", [3, 4, 5, 6]),
    ],
)
def test_plain_frames_of_a_sample_are_those_of_evaluation(scheme_name, expected):
    scheme = scheme_of(sampling=scheme_name, window_stride=3)
    np.testing.assert_array_equal(scheme.plain(10, 25.0, 1), expected)


@pytest.mark.parametrize("scheme_name", ["consecutive", "fps"])
def test_speed_jitter_spreads_a_window_by_a_random_factor(scheme_name):
    scheme = scheme_of(sampling=scheme_name, fps=25.0, num_frames=5, frame_interval=10, speed_jitter=0.5)
    rng = np.random.default_rng(0)
    windows = np.stack([scheme.train(1000, 25.0, rng) for _ in range(300)])
    steps = np.diff(windows, axis=1)
    # One speed a window, but for rounding.
    assert np.ptp(steps, axis=1).max() <= 1
    spans = windows[:, -1] - windows[:, 0]
    assert 20 <= spans.min() <= 22
    assert 58 <= spans.max() <= 60
    assert abs(spans.mean() - 40) < 2
    # Views of evaluation keep their speed.
    assert (np.diff(scheme.evaluate(1000, 25.0, 3), axis=1) == 10).all()


def test_speed_jitter_makes_no_window_longer_than_a_clip_that_holds_it():
    scheme = scheme_of(sampling="consecutive", num_frames=5, frame_interval=2, speed_jitter=0.9)
    rng = np.random.default_rng(0)
    windows = np.stack([scheme.train(11, 25.0, rng) for _ in range(100)])
    assert windows.max() == 10
    # Nine frames are just the window; of more than twice its speed, frames would be repeated.
    assert (np.diff(scheme.train(9, 25.0, rng)) >= 0).all()
    fast = windows[windows[:, -1] - windows[:, 0] > 8]
    assert len(fast)
    assert (np.diff(fast, axis=1) >= 2).all()


def test_speed_jitter_is_for_windows_at_a_speed():
    with pytest.raises(
        ValueError, match="speed_jitter is 0.2; allowed with this sampling: 0 .others with consecutive, fps"
    ):
        scheme_of(speed_jitter=0.2).check()
    with pytest.raises(ValueError, match="speed_jitter is 1.0; allowed: 0 to below 1"):
        scheme_of(sampling="consecutive", speed_jitter=1.0).check()
