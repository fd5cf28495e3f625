import numpy as np
import pytest

from jaxvid.predict.batches import Outputs, StreamFeatures, WindowClassifier
from jaxvid.predict.windows import Window, WindowPlan, windows
from jaxvid.video.streams import TimedFrame


def frames_of(levels, fps=8.0):
    """Frames of one pixel, each of one red."""
    return [TimedFrame(i / fps, np.full((1, 1, 3), level, np.uint8)) for i, level in enumerate(levels)]


def plan(stride, seconds=1.0, num_frames=4):
    return WindowPlan(seconds, stride, (np.arange(num_frames) + 0.5) * seconds / num_frames, True)


class Network:
    """A network whose probability is the mean of its features; notes its batches.

    The features are the red of frames, or with `span` 2 the difference to the frame before.
    """

    def __init__(self, windows_per_batch=2, frames_per_batch=3, *, span=1, run_length=None):
        self.frame_batches, self.window_batches = [], []
        self.span, self.run_length = span, run_length or frames_per_batch
        features = StreamFeatures(self.features, span, frames_per_batch, self.run_length)
        self.classifier = WindowClassifier(self.classify, lambda _: {}, windows_per_batch, features)

    def features(self, frames):
        red = frames[:, 0, 0, 0].astype(np.float32)
        self.frame_batches.append(red.tolist())
        if self.span == 2:
            red = np.diff(red, prepend=np.nan)
            # Each device knows only the frames of its own.
            red[:: self.run_length] = np.nan
        return red[:, None, None]

    def classify(self, inputs):
        self.window_batches.append(len(inputs["features"]))
        return Outputs(inputs["features"].mean(axis=(1, 2)))

    def run(self, videos, plan):
        """Classifies the windows of videos, a window of each in turn; returns start and probability by video."""
        found = [[] for _ in videos]
        streams = {i: windows(frames_of(levels), plan) for i, levels in enumerate(videos)}
        while streams:
            for i, stream in list(streams.items()):
                window = next(stream, None)
                results = self.classifier.add(i, window) if window else ()
                if window is None:
                    streams.pop(i)
                for classified in results:
                    found[classified.video].append((classified.window.start, float(classified.probabilities[0])))
        for classified in self.classifier.finish():
            found[classified.video].append((classified.window.start, float(classified.probabilities[0])))
        return found


# At 8 frames a second, windows of 1 s show frames 1, 3, 5 and 7 after their start: the red is the number of the frame.
LEVELS = range(24)


def test_a_frame_that_windows_share_is_computed_once():
    network = Network()
    [found] = network.run([LEVELS], plan(0.25))
    # Starts at 0, 0.25, ... 2 s: two frames further each time.
    assert found == [(i / 4, 4.0 + 2 * i) for i in range(9)]
    computed = [number for batch in network.frame_batches for number in batch]
    assert computed == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23]
    assert [len(batch) for batch in network.frame_batches] == [3, 3, 3, 3]
    assert network.window_batches == [2, 2, 2, 2, 1]


@pytest.mark.parametrize("stride", [0.3, 0.125, 0.7, 2.0])
def test_windows_share_the_frames_that_happen_to_be_the_same(stride):
    network = Network()
    [found] = network.run([LEVELS], plan(stride))
    expected = [
        (w.start, np.mean([image[0, 0, 0] for image in w.images])) for w in windows(frames_of(LEVELS), plan(stride))
    ]
    assert found == [(start, pytest.approx(mean)) for start, mean in expected]
    computed = [number for batch in network.frame_batches for number in batch]
    assert len(computed) == len(set(computed))


def test_videos_share_batches_and_keep_their_frames_apart():
    network = Network()
    first, second = network.run([range(24), range(100, 124)], plan(0.5))
    assert first == [(i / 2, 4.0 + 4 * i) for i in range(5)]
    assert second == [(i / 2, 104.0 + 4 * i) for i in range(5)]
    assert network.window_batches == [2, 2, 2, 2, 2]
    assert all(len(batch) == 3 for batch in network.frame_batches)
    assert any(min(batch) < 100 <= max(batch) for batch in network.frame_batches)


def test_a_window_of_known_frames_does_not_hurry_those_of_another_video_before_it():
    network, known = Network(frames_per_batch=4), dict(enumerate([10, 20, 30, 40]))
    new = {0: 1, 1: 2, 2: 3}

    def add(video, frames, numbers):
        images = tuple(np.full((1, 1, 3), frames[number], np.uint8) for number in numbers)
        window = Window(0.0, 1.0, images, tuple(numbers), len(numbers), np.zeros(0, np.int16))
        return [(found.video, float(found.probabilities[0])) for found in network.classifier.add(video, window)]

    assert add(0, known, [0, 1, 2, 3]) == []
    assert add(0, known, [0, 1, 2, 3]) == [(0, 25.0), (0, 25.0)]
    # The three frames of the second video wait for a fourth.
    assert add(1, new, [0, 1, 2, 2]) == []
    assert add(0, known, [0, 1, 2, 3]) == []
    last = [(found.video, float(found.probabilities[0])) for found in network.classifier.finish()]
    assert last == [(1, 2.25), (0, 25.0)]


def test_a_still_picture_does_not_make_windows_wait_without_end():
    # One frame in a minute: hundreds of windows show it, and the batch of frames is not full before the next one.
    network = Network(frames_per_batch=100)
    stream = windows([TimedFrame(60.0 * i, np.full((1, 1, 3), i, np.uint8)) for i in range(7)], plan(0.25))
    waiting = most = 0
    for window in stream:
        waiting += 1 - len(list(network.classifier.add(0, window)))
        most = max(most, waiting)
    assert most <= 260


@pytest.mark.parametrize("run_length", [16, 8, 4, 2])
@pytest.mark.parametrize("stride", [0.25, 0.3, 2.0])
def test_features_of_two_frames_are_computed_of_frames_in_a_row(stride, run_length):
    # Differences of neighboring frames of a window: levels grow ever faster, so that every pair has its own.
    levels = np.arange(24) ** 2 // 3
    network = Network(frames_per_batch=16, span=2, run_length=run_length)
    [found] = network.run([levels], plan(stride))
    stream = windows(frames_of(levels), plan(stride))
    expected = [(w.start, np.diff([float(image[0, 0, 0]) for image in w.images]).mean()) for w in stream]
    assert found == [(start, pytest.approx(mean)) for start, mean in expected]


def test_the_frames_of_a_row_are_computed_once_but_for_the_first_one_of_a_batch():
    network = Network(frames_per_batch=8, span=2)
    network.run([range(24)], plan(0.25))
    assert network.frame_batches == [[1, 3, 5, 7, 9, 11, 13, 15], [15, 17, 19, 21, 23]]


def test_memory_for_features_is_bounded_by_the_frames_of_a_window():
    network = Network()
    for window in windows(frames_of(np.arange(2000) % 256), plan(0.3)):
        list(network.classifier.add(0, window))
        assert len(network.classifier._features._kept[0]) <= 8 + 1
    network.classifier.forget(0)
    assert 0 not in network.classifier._features._kept


@pytest.mark.parametrize(("span", "batches"), [(1, [[1], [3], [5], [7]]), (2, [[1, 3], [3, 5], [5, 7]])])
def test_frames_prepared_ahead_leave_only_the_new_ones_to_a_window(span, batches):
    network = Network(windows_per_batch=1, frames_per_batch=span, span=span)
    [window] = windows(frames_of(range(8)), plan(1.0))
    network.classifier.prepare(0, window.numbers[:3], window.images[:3])
    assert network.frame_batches == batches[:-1]
    [classified] = network.classifier.add(0, window)
    assert network.frame_batches == batches
    assert classified.probabilities == [4.0 if span == 1 else 2.0]


def test_a_network_of_whole_clips_gets_the_frames_of_its_windows():
    seen = []

    def classify(inputs):
        seen.append(inputs["frames"][:, :, 0, 0, 0].tolist())
        return Outputs(np.zeros((len(inputs["frames"]), 2)))

    classifier = WindowClassifier(classify, lambda windows: {"num": len(windows)}, 2)
    for window in windows(frames_of(range(16)), plan(0.5)):
        list(classifier.add(0, window))
    list(classifier.finish())
    assert seen == [[[1, 3, 5, 7], [5, 7, 9, 11]], [[9, 11, 13, 15]]]
