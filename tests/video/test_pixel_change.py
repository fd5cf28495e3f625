"""How much pixels change, on images whose differences are known."""

import cv2
import numpy as np
import pytest

from jaxvid.video.pixel_change import pixel_change


def jpeg(image):
    return cv2.imencode(".jpg", np.asarray(image, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def gray(level):
    return jpeg(np.full((24, 32), level))


def test_differences_are_of_neighbors():
    # Differences of 10 and 30 gray levels, whatever their sign.
    values = pixel_change([gray(50), gray(60), gray(30)])
    assert values == pytest.approx((20, 10, 30, 10, 30), abs=1e-4)


def test_spread_and_maximum_are_over_the_picture_too():
    # One half of the picture changes by 80, the other not at all; blocks of JPEG keep the halves apart.
    half = np.zeros((120, 160))
    half[:, :80] = 80
    values = pixel_change([jpeg(np.zeros((120, 160))), jpeg(half)])
    assert values == pytest.approx((40, 40, 80, 0, 40), abs=0.5)


def test_16_evenly_spaced_frames_are_compared():
    # Every frame is brighter by 1: of 46 frames, every third one is taken.
    assert pixel_change([gray(level) for level in range(46)]) == pytest.approx((3, 0, 3, 0, 3), abs=1e-4)
    # Of fewer, all are.
    assert pixel_change([gray(level) for level in range(5)]) == pytest.approx((1, 0, 1, 0, 1), abs=1e-4)


def test_a_single_frame_does_not_change():
    assert pixel_change([gray(7)]) == (0, 0, 0, 0, 0)


def test_colors_count_as_their_brightness():
    # ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue; OpenCV takes blue first.
    images = [np.full((24, 32, 3), color, np.uint8) for color in ((0, 0, 0), (200, 0, 100))]
    assert pixel_change([jpeg(image) for image in images]).mean == pytest.approx(0.299 * 100 + 0.114 * 200, abs=1)


def test_a_frame_that_is_no_image_is_an_error():
    with pytest.raises(ValueError, match="a frame is no JPEG image"):
        pixel_change([gray(1), b"not a JPEG"])
