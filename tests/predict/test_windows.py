import contextlib
import threading

import av
import ml_collections
import numpy as np
import pytest

from jaxvid.predict.windows import SlidingWindow, WindowPlan, plan_windows, windows
from jaxvid.video.ahead import ahead
from jaxvid.video.sound import Sound
from jaxvid.video.streams import TimedFrame, decode_stream, open_video
from jaxvid.video.workers import InvalidVideoError
from tests.video.test_streams import write_uneven


def numbered(times):
    """Frames of one pixel that hold their number."""
    return [TimedFrame(float(seconds), np.full((1, 1, 3), i, np.uint8)) for i, seconds in enumerate(times)]


def shown(window):
    return window.frames[:, 0, 0, 0].tolist()


def plan(seconds=1.0, stride=0.5, num_frames=2, stretches=True):
    return WindowPlan(seconds, stride, (np.arange(num_frames) + 0.5) * seconds / num_frames, stretches)


def config_of(sampling, **clip):
    values = {
        "sampling": sampling,
        "num_frames": 4,
        "frame_interval": 2,
        "window_stride": 1,
        "fps": 5.0,
        "speed_jitter": 0.0,
        **clip,
    }
    return ml_collections.ConfigDict({"clip": values, "dataset": {"clip_seconds": 2.0, "fps": 20.0}})


def test_windows_are_as_long_as_in_training():
    uniform = plan_windows(config_of("uniform"))
    assert (uniform.seconds, uniform.stride) == (2.0, 0.5)
    np.testing.assert_allclose(uniform.offsets, [0.25, 0.75, 1.25, 1.75])
    # Every second of 20 frames a second: 0.1 s apart.
    consecutive = plan_windows(config_of("consecutive"))
    assert consecutive.seconds == pytest.approx(0.4)
    np.testing.assert_allclose(np.diff(consecutive.offsets), 0.1)
    assert 0 <= consecutive.offsets[0] < 0.05
    # Every second of 5 frames a second.
    assert plan_windows(config_of("fps"), stride=1.0).seconds == pytest.approx(1.6)
    assert plan_windows(config_of("fps"), stride=1.0).stride == 1.0
    assert plan_windows(config_of("random_segment"), window_seconds=3.0).seconds == 3.0


def test_impossible_lengths_are_refused():
    with pytest.raises(ValueError, match="stride_seconds is 0; allowed: above 0"):
        plan_windows(config_of("uniform"), stride=0.0)
    with pytest.raises(ValueError, match="window_seconds is -1; allowed: above 0"):
        plan_windows(config_of("uniform"), window_seconds=-1.0)
    with pytest.raises(ValueError, match="sampling 'consecutive' fixes how long a window is"):
        plan_windows(config_of("consecutive"), window_seconds=1.0)


def test_windows_slide_and_the_last_one_ends_with_the_video():
    # 9 frames at 4 a second last 2.25 s.
    found = list(windows(numbered(np.arange(9) / 4), plan()))
    assert [(window.start, window.end) for window in found] == [(0, 1), (0.5, 1.5), (1, 2), (1.25, 2.25)]
    # At 0.25 and 0.75 s of each.
    assert [shown(window) for window in found] == [[1, 3], [3, 5], [5, 7], [6, 8]]


def test_a_frame_lasts_until_the_next_one_at_any_frame_rate():
    found = list(windows(numbered([0, 0.2, 0.7, 0.72, 1.4, 2.0]), plan(stride=1.0)))
    # At 0.25, 0.75; 1.25, 1.75; the last frame shows for 0.6 s, until 2.6: then 1.85 and 2.35.
    assert [shown(window) for window in found] == [[1, 3], [3, 4], [4, 5]]
    assert found[-1].start == pytest.approx(1.6)


def test_a_video_shorter_than_a_window_makes_one():
    [stretched] = windows(numbered([0, 0.1, 0.2, 0.3]), plan(seconds=4.0))
    assert (stretched.start, stretched.end) == (0.0, pytest.approx(0.4))
    assert shown(stretched) == [1, 3]
    [repeated] = windows(numbered([0, 0.1, 0.2, 0.3]), plan(seconds=0.8, num_frames=4, stretches=False))
    assert shown(repeated) == [1, 3, 3, 3]
    [single] = windows(numbered([0]), plan())
    assert shown(single) == [0, 0]
    assert list(windows([], plan())) == []


def test_few_frames_are_in_memory_at_any_length_of_the_stream():
    alive, most = 0, 0

    class Image(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= self.base is None

    def long_stream():
        nonlocal alive, most
        for i in range(2000):
            image = Image((1, 1, 3), np.uint8)
            image[:] = 0
            alive += 1
            most = max(most, alive)
            yield TimedFrame(i / 10, image)

    assert sum(1 for _ in windows(ahead(long_stream(), capacity=8), plan())) > 390
    # Of windows of 10 frames, 5 apart; and 8 in the queue.
    assert most < 40


def test_images_are_computed_only_if_a_window_shows_them_and_once():
    computed = []

    def lazy(number, num_bytes):
        return TimedFrame(number / 4, lambda: computed.append(number) or np.zeros((1, 1, 3), np.uint8), num_bytes)

    # At 0.25 and 0.75 s of windows of 1 s, half a second apart; the last window is one of these.
    found = list(windows([lazy(i, 100) for i in range(8)], plan()))
    assert len(found) == 3
    assert computed == [1, 3, 5, 7]


def test_decoded_pictures_that_wait_are_bounded(monkeypatch):
    monkeypatch.setattr("jaxvid.predict.windows._MAX_WAITING_BYTES", 250)
    frames = [TimedFrame(i / 100, lambda: np.zeros((1, 1, 3), np.uint8), 100) for i in range(50)]
    sliding = SlidingWindow(plan())
    for count, frame in enumerate(frames, 1):
        sliding.add(frame)
        assert sum(frame.waiting_bytes for frame in frames[:count]) <= 200
    assert frames[-1].waiting_bytes == frames[-2].waiting_bytes == 100


def test_a_live_stream_skips_stale_windows():
    sliding = SlidingWindow(plan(stride=1.0))
    for frame in numbered([0, 1, 2, 3, 4]):
        sliding.add(frame)
    # When the frame of 4 s is seen, the window from 3 s is the newest one whose frames have all come.
    assert [window.start for window in sliding.newest()] == [3.0]
    assert list(sliding.newest()) == []


def test_frames_of_the_next_window_are_certain_once_later_ones_have_come():
    sliding = SlidingWindow(plan(stride=0.5))
    certain = []
    # A window of 1 s shows the frames of 0.25 and 0.75 s.
    for frame in numbered([0, 0.25, 0.5, 0.75, 1.0]):
        sliding.add(frame)
        numbers, images = sliding.certain()
        assert [int(image[0, 0, 0]) for image in images] == list(numbers)
        certain.append(numbers)
    assert certain == [(), (), (1,), (1,), (1, 3)]
    [window] = sliding.complete()
    assert window.numbers == (1, 3)
    # The next one is from 0.5 s on.
    assert sliding.certain()[0] == (3,)


def test_windows_number_the_frames_that_they_share():
    found = list(windows(numbered(np.arange(9) / 4), plan()))
    assert [window.numbers for window in found] == [(1, 3), (3, 5), (5, 7), (6, 8)]
    assert found[0].images[1] is found[1].images[0]


def test_items_made_ahead_are_bounded_and_end_when_closed():
    made, before = [], threading.active_count()
    items = ahead((made.append(i) or i for i in range(1000)), capacity=3)
    assert next(items) == 0
    items.close()
    assert len(made) <= 6
    assert threading.active_count() == before


def test_errors_are_raised_where_the_item_would_have_come():
    def broken():
        yield 1
        raise ValueError("no more")

    items = ahead(broken(), capacity=3)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


def test_times_come_from_the_container(tmp_path):
    path = tmp_path / "uneven.mkv"
    write_uneven(path, [0, 40, 200, 240, 1000])
    with open_video(path) as container:
        frames = list(decode_stream(container, path, (8, 16)))
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.04, 0.2, 0.24, 1.0])
    assert {frame.image.shape for frame in frames} == {(8, 16, 3)}
    assert [int(frame.image[0, 0, 0]) for frame in frames] == pytest.approx([0, 20, 40, 60, 80], abs=2)


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_files_that_are_no_videos_are_named(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InvalidVideoError, match="text.mp4: it cannot be opened"), open_video(text):
        pass
    sound = tmp_path / "sound.mkv"
    write_sound(sound)
    with pytest.raises(InvalidVideoError, match="it holds no video, only sound"), open_video(sound):
        pass
    empty = tmp_path / "empty.mkv"
    write_uneven(empty, [])
    with pytest.raises(InvalidVideoError), contextlib.ExitStack() as stack:
        list(decode_stream(stack.enter_context(open_video(empty)), empty, (8, 8)))


def test_names_of_any_bytes_can_be_opened(tmp_path):
    path = tmp_path / b"fight\xff.mkv".decode(errors="surrogateescape")
    write_uneven(tmp_path / "plain.mkv", [0, 40])
    (tmp_path / "plain.mkv").rename(path)
    with open_video(path) as container:
        assert len(list(decode_stream(container, path, (8, 8)))) == 2


def test_windows_of_sequences_take_stored_frames_and_count_the_real_ones():
    found = list(windows(numbered(np.arange(7) / 4), plan_windows(sequence_config(), stride=1.0)))
    # At 4 a second, as the frames are, 1.75 s of them: a window of 1 s, and one that ends with the video.
    assert [(window.start, window.end, window.num_frames) for window in found] == [(0, 1, 4), (0.75, 1.75, 4)]
    assert [shown(window) for window in found] == [[0, 1, 2, 3], [3, 4, 5, 6]]
    (short,) = windows(numbered(np.arange(2) / 4), plan_windows(sequence_config()))
    assert (shown(short), short.num_frames) == ([0, 1, 1, 1], 2)


def sequence_config():
    config = config_of("sequence", frame_interval=1)
    config.dataset.fps = 4.0
    return config


def test_windows_have_the_sound_of_their_time():
    pieces = iter([(0.0, np.arange(100).astype(np.int16)), (1.0, np.arange(100, 150).astype(np.int16))])
    frames = numbered(np.arange(9) / 4)
    found = list(windows(frames, plan(), sound=Sound(pieces, 100)))
    expected = [range(100), range(50, 150), range(100, 150), range(125, 150)]
    for window, samples in zip(found, expected, strict=True):
        np.testing.assert_array_equal(window.audio, samples)
    assert all(len(window.audio) == 0 for window in windows(frames, plan()))
