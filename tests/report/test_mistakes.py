import cv2
import numpy as np
import pytest

from jaxvid.report.mistakes import worst_mistakes
from tests.report.made_up import frames_of, make_predictions
from tests.tiny import find_a_face_in_every_frame


def test_worst_mistakes_come_first_and_only_they_are_read():
    labels = np.array([0, 0, 1, 1, 0, 1])
    wrong_probability = np.array([0.6, 0.1, 0.95, 0.7, 0.8, 0.2])
    probabilities = np.stack([1 - wrong_probability, wrong_probability], axis=1)
    probabilities[labels == 1] = probabilities[labels == 1, ::-1]
    predictions = make_predictions(num_clips=6, labels=labels, probabilities=probabilities)
    indices = []

    def recording_frames_of(index):
        indices.append(index)
        return frames_of(index)

    mistakes = worst_mistakes(predictions, recording_frames_of, limit=3)
    assert indices == [2, 4, 3]
    assert [mistake.clip for mistake in mistakes] == ["clip2.avi", "clip4.avi", "clip3.avi"]
    assert [mistake.predicted for mistake in mistakes] == ["class0", "class1", "class0"]
    assert [mistake.probability for mistake in mistakes] == pytest.approx([0.95, 0.8, 0.7])
    assert mistakes[0].label_probability == pytest.approx(0.05)


def one_mistake(frames):
    predictions = make_predictions(num_clips=1, labels=np.array([0]), probabilities=np.array([[0.2, 0.8]]))
    return worst_mistakes(predictions, lambda _: frames)[0]


def test_strip_shows_first_to_last_frame_in_order():
    # Frame 15 of 15 is the last; eight of them, evenly spaced, are 0, 2, 4, ... 14.
    frames = np.broadcast_to(np.arange(15, dtype=np.uint8)[:, None, None, None] * 10, (15, 160, 40, 3))
    mistake = one_mistake(np.ascontiguousarray(frames))
    assert mistake.num_frames == 8
    assert mistake.strip.shape == (160, 8 * 40 + 7 * 3, 3)
    assert mistake.strip[80, 20::43, 0].tolist() == [0, 20, 40, 60, 80, 100, 120, 140]


def test_strip_of_a_single_tiny_frame():
    mistake = one_mistake(np.zeros((1, 8, 6, 3), np.uint8))
    assert mistake.num_frames == 1
    assert mistake.strip.shape == (160, 120, 3)


def test_faces_are_blurred_on_request(monkeypatch):
    find_a_face_in_every_frame(monkeypatch)
    stripes = np.zeros((2, 160, 160, 3), np.uint8)
    stripes[:, :, ::4] = stripes[:, :, 1::4] = 255
    predictions = make_predictions(num_clips=1, labels=np.array([0]), probabilities=np.array([[0.2, 0.8]]))
    [sharp] = worst_mistakes(predictions, lambda _: stripes)
    [blurred] = worst_mistakes(predictions, lambda _: stripes, without_faces=True)
    assert sharp.strip[:, :160].std() > 120
    assert blurred.strip[:, :160].std() < 5


def test_strip_keeps_its_colors_in_jpeg():
    red = np.zeros((2, 32, 32, 3), np.uint8)
    red[..., 0] = 255
    decoded = cv2.imdecode(np.frombuffer(one_mistake(red).jpeg(), np.uint8), cv2.IMREAD_COLOR)
    assert decoded[16, 16].tolist() == pytest.approx([0, 0, 255], abs=6)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 8, 8), np.uint8),
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((4, 3, 8, 8), np.uint8),
    ],
)
def test_frames_of_another_shape_or_type_are_refused(frames):
    with pytest.raises(ValueError, match=r"uint8 frames, got .* for 'clip0.avi'"):
        one_mistake(frames)
