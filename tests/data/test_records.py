"""Stored clips: the decoding of their frames."""

import cv2
import numpy as np
import pytest

from jaxvid.data import records
from jaxvid.data.records import decode_frames


@pytest.fixture(params=["simplejpeg", "opencv"])
def decoder(request, monkeypatch):
    """Each of the libraries that may decode."""
    if request.param == "opencv":
        monkeypatch.setattr(records, "simplejpeg", None)
    return request.param


@pytest.mark.usefixtures("decoder")
def test_each_frame_needed_is_decoded_once_and_no_other(monkeypatch):
    frames = [cv2.imencode(".jpg", np.full((4, 4, 3), i, np.uint8))[1].tobytes() for i in range(10)]
    decoded = []
    original = records._decode_jpeg
    monkeypatch.setattr(records, "_decode_jpeg", lambda frame: decoded.append(frame) or original(frame))
    images = decode_frames(frames, np.asarray([2, 7, 7]))
    assert decoded == [frames[2], frames[7]]
    assert images[:, 0, 0, 0].tolist() == [2, 7, 7]
    assert decode_frames(frames, np.asarray([7, 2]))[:, 0, 0, 0].tolist() == [7, 2]


@pytest.mark.parametrize("size", [(64, 64), (37, 51), (1, 8)])
@pytest.mark.parametrize("quality", [30, 95])
def test_both_libraries_decode_to_the_same_bits(size, quality, monkeypatch):
    rng = np.random.default_rng(0)
    # Coarse color, on which the ways to enlarge the color channels differ, and grain.
    coarse = cv2.resize(rng.integers(0, 200, (4, 4, 3)).astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    image = coarse + rng.integers(0, 56, (*size, 3)).astype(np.uint8)
    frame = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    assert records.simplejpeg is not None
    fast = decode_frames([frame], np.asarray([0]))
    monkeypatch.setattr(records, "simplejpeg", None)
    np.testing.assert_array_equal(decode_frames([frame], np.asarray([0])), fast)


@pytest.mark.usefixtures("decoder")
def test_a_stored_frame_that_is_no_image_is_an_error():
    with pytest.raises(ValueError, match="no JPEG image: the dataset is damaged"):
        decode_frames([b"not a JPEG"], np.asarray([0]))
