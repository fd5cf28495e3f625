"""Stored clips: the decoding of their frames, and their metadata."""

import cv2
import numpy as np
import pytest

from jaxvid.data.records import Clip, collect_metadata, decode_frames


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


def test_metadata_has_one_entry_per_clip():
    whole = Clip([b"1", b"2"], 1, 25.0, "film", "a.mp4", "a.mp4", np.zeros(0, np.int16))
    sequence = Clip([b"1"], 0, 12.5, "other film", "b.mp4#3", "b.mp4", np.zeros(7, np.int16))
    metadata = collect_metadata(iter([whole, sequence, sequence]))
    assert metadata.labels.tolist() == [1, 0, 0]
    assert metadata.num_frames.tolist() == [2, 1, 1]
    assert metadata.num_samples.tolist() == [0, 7, 7]
    assert metadata.fps.tolist() == [25.0, 12.5, 12.5]
    assert metadata.sources == ["film", "other film", "other film"]
    assert metadata.filenames == ["a.mp4", "b.mp4#3", "b.mp4#3"]
    assert metadata.videos == ["a.mp4", "b.mp4", "b.mp4"]
    assert metadata.first_clips() == {"a.mp4": 0, "b.mp4": 1}
