"""Stored clips: the decoding of their frames."""

import cv2
import numpy as np
import pytest

from jaxvid.data.records import decode_frames


def test_each_frame_needed_is_decoded_once_and_no_other(monkeypatch):
    frames = [cv2.imencode(".jpg", np.full((4, 4, 3), i, np.uint8))[1].tobytes() for i in range(10)]
    decoded = []
    original = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: decoded.append(data.tobytes()) or original(data, flags))
    decode_frames(frames, np.asarray([2, 7, 7]))
    assert decoded == [frames[2], frames[7]]


def test_a_stored_frame_that_is_no_image_is_an_error():
    with pytest.raises(ValueError, match="no JPEG image: the dataset is damaged"):
        decode_frames([b"not a JPEG"], np.asarray([0]))
