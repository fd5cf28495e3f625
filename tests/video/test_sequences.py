"""Sequences of videos with their sound: which frames, which samples, and what is wrong with a file."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from jaxvid.video.clips import encode_clip
from jaxvid.video.files import write_video
from jaxvid.video.sequences import SequenceForm, decode_sequences, read_sequences
from jaxvid.video.sound import open_sound, write_video_with_sound
from jaxvid.video.workers import InvalidVideo, InvalidVideoError

RATE = 8000
# 35 frames at 10 a second, each 5 brighter than the one before.
FRAMES = np.stack([np.full((48, 64, 3), 5 * i, np.uint8) for i in range(35)])
FORM = SequenceForm((48, 64), fps=4.0, num_frames=5, sample_rate=RATE)


def numbers(clip):
    """Which of FRAMES a sequence shows."""
    images = (cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR) for frame in clip.frames)
    return [round(image.mean() / 5) for image in images]


def ramp(seconds):
    """Sound of which every sample is its own number."""
    return np.arange(round(seconds * RATE)).astype(np.int16)


@pytest.mark.parametrize("extension", ["avi", "mkv"])
def test_sequences_hold_frames_at_the_rate_and_their_stretch_of_sound(tmp_path, extension):
    write_video_with_sound(tmp_path / f"a.{extension}", FRAMES, 10.0, ramp(3.5), RATE)
    sequences = list(read_sequences(tmp_path / f"a.{extension}", FORM))
    # The frames that show at 0.125, 0.375, 0.625, ... seconds, to the last before the end at 3.5.
    assert [numbers(clip) for clip in sequences] == [[1, 3, 6, 8, 11], [13, 16, 18, 21, 23], [26, 28, 31, 33]]
    assert [(clip.begin, clip.fps) for clip in sequences] == [(0.0, 4), (1.25, 4), (2.5, 4)]
    np.testing.assert_array_equal(np.concatenate([clip.audio for clip in sequences]), ramp(3.5))
    assert [len(clip.audio) for clip in sequences] == [10000, 10000, 8000]


def test_all_frames_and_no_sound_where_none_is_requested(tmp_path):
    write_video_with_sound(tmp_path / "a.avi", FRAMES, 10.0, ramp(3.5), RATE)
    (clip,) = read_sequences(tmp_path / "a.avi", SequenceForm((48, 64)))
    assert numbers(clip) == list(range(35))
    assert clip.audio is None
    assert clip.fps == 10


def test_frames_are_chosen_by_their_times_whatever_the_frame_rate(tmp_path):
    # Frame k begins to show at this millisecond.
    begins = [0, 40, 80, 500, 510, 520, 1500, 1740]
    with av.open(str(tmp_path / "variable.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuvj420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for image, begin in zip(FRAMES, begins, strict=False):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = begin, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (clip,) = read_sequences(tmp_path / "variable.mkv", SequenceForm((48, 64), fps=4.0))
    # Two halves of all frames, which announce 25 per second: 4 in 510 ms, 4 in 1470 ms.
    halves = list(read_sequences(tmp_path / "variable.mkv", SequenceForm((48, 64), num_frames=4)))
    assert [clip.fps for clip in halves] == [pytest.approx(4 / 0.51), pytest.approx(4 / 1.47)]
    (whole,) = read_sequences(tmp_path / "variable.mkv", SequenceForm((48, 64)))
    assert whole.fps == pytest.approx(8 / 1.98)
    # At 125, 375, 625, 875, 1125, 1375, 1625, 1875 ms; the last frame shows for 240 ms, as long as the one before.
    assert numbers(clip) == [2, 2, 5, 5, 5, 5, 6, 7]


def test_a_rate_above_that_of_the_video_repeats_frames(tmp_path):
    write_video_with_sound(tmp_path / "a.avi", FRAMES[:3], 10.0, ramp(0.3), RATE)
    (clip,) = read_sequences(tmp_path / "a.avi", SequenceForm((48, 64), fps=20.0))
    assert numbers(clip) == [0, 0, 1, 1, 2, 2]


def test_a_video_shorter_than_an_interval_still_shows_a_frame(tmp_path):
    write_video_with_sound(tmp_path / "a.avi", FRAMES[7:8], 25.0, ramp(0.04), RATE)
    (clip,) = read_sequences(tmp_path / "a.avi", FORM)
    assert numbers(clip) == [7]


def test_sound_shorter_than_the_frames_ends_earlier(tmp_path):
    write_video_with_sound(tmp_path / "a.avi", FRAMES, 10.0, ramp(1.5), RATE)
    sequences = list(read_sequences(tmp_path / "a.avi", FORM))
    assert [len(clip.audio) for clip in sequences] == [10000, 2000, 0]
    np.testing.assert_array_equal(sequences[1].audio, ramp(1.5)[10000:])


def test_sound_longer_than_the_frames_is_cut(tmp_path):
    write_video_with_sound(tmp_path / "a.mkv", FRAMES, 10.0, ramp(4.0), RATE)
    sequences = list(read_sequences(tmp_path / "a.mkv", FORM))
    assert sum(len(clip.audio) for clip in sequences) == 3.5 * RATE


def test_a_video_without_sound_has_an_empty_one(tmp_path):
    write_video(tmp_path / "silent.avi", FRAMES, 10.0)
    sequences = list(read_sequences(tmp_path / "silent.avi", FORM))
    assert [clip.audio.shape for clip in sequences] == [(0,)] * 3
    with open_sound(tmp_path / "silent.avi", RATE, 0.0) as sound:
        assert sound is None


def test_sound_that_begins_later_has_silence_before_it_and_keeps_its_time(tmp_path):
    write_video_with_sound(tmp_path / "a.mkv", FRAMES, 10.0, ramp(3.0) + 1, RATE)
    # The clock of the frames began 0.5 s before that of the sound.
    with open_sound(tmp_path / "a.mkv", RATE, -0.5) as sound:
        first, second = sound.stretch(0.0, 1.0), sound.stretch(1.0, 2.0)
    np.testing.assert_array_equal(first, [0] * 4000 + list(range(1, 4001)))
    np.testing.assert_array_equal(second, range(4001, 12001))


def test_sound_before_its_beginning_is_none_and_stretches_may_overlap(tmp_path):
    write_video_with_sound(tmp_path / "a.mkv", FRAMES, 10.0, ramp(3.0), RATE)
    with open_sound(tmp_path / "a.mkv", RATE, -5.0) as sound:
        assert len(sound.stretch(0.0, 5.0)) == 0
        np.testing.assert_array_equal(sound.stretch(5.0, 7.0), ramp(2.0))
        np.testing.assert_array_equal(sound.stretch(6.0, 9.0), ramp(3.0)[RATE : 3 * RATE])


def test_sound_is_resampled_to_mono(tmp_path):
    seconds = np.arange(44100) / 44100
    tone = (8000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)
    write_video_with_sound(tmp_path / "a.avi", FRAMES[:10], 10.0, tone, 44100)
    with open_sound(tmp_path / "a.avi", 16000, 0.0) as sound:
        samples = sound.stretch(0.0, 1.0)
    assert len(samples) == pytest.approx(16000, abs=20)
    assert np.abs(np.fft.rfft(samples[:16000], 16000)).argmax() == 440


def test_a_film_is_read_as_it_is_taken(tmp_path, monkeypatch):
    write_video_with_sound(tmp_path / "a.avi", np.repeat(FRAMES, 10, axis=0), 10.0, ramp(3.5), RATE)
    decoded = []
    from jaxvid.video import sequences

    whole = sequences.raw_frames
    monkeypatch.setattr(
        sequences, "raw_frames", lambda *args: (decoded.append(frame[0]) or frame for frame in whole(*args))
    )
    reading = read_sequences(tmp_path / "a.avi", FORM)
    next(reading)
    # The first sequence ends at 1.25 s, of 35.
    assert max(decoded) < 2


def test_workers_give_all_sequences_in_order(tmp_path):
    paths = [tmp_path / f"{k}.avi" for k in range(3)]
    for k, path in enumerate(paths):
        write_video_with_sound(path, FRAMES[: 20 + 5 * k], 10.0, ramp(2), RATE)
    # A frame to a sequence, so that there are more of them than may wait for the consumer.
    form = SequenceForm((48, 64), num_frames=1)
    results = list(decode_sequences(paths, form, num_workers=2))
    shown = {k: [numbers(clip)[0] for _, clip in of] for k, of in itertools.groupby(results, key=lambda r: r[0])}
    assert shown == {0: list(range(20)), 1: list(range(25)), 2: list(range(30))}


def test_a_video_that_breaks_off_gives_what_is_before_that_place(tmp_path):
    write_video_with_sound(tmp_path / "whole.avi", FRAMES, 10.0, ramp(3.5), RATE)
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.mp4").touch()
    results = [result for _, result in decode_sequences([tmp_path / "cut.avi", tmp_path / "empty.mp4"], FORM)]
    assert all(isinstance(result, InvalidVideo) for result in results)
    assert "it is cut short" in results[0].reason
    assert results[1].reason == "the file is empty"


def test_a_matroska_file_that_is_cut_short_is_told_by_its_length(tmp_path):
    write_video_with_sound(tmp_path / "whole.mkv", np.repeat(FRAMES, 3, axis=0), 10.0, ramp(10.5), RATE)
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidVideoError, match=r"its video ends at \d\.\d of 10\.5 s: it is cut short"):
        list(read_sequences(tmp_path / "cut.mkv", FORM))


@pytest.mark.parametrize("num_frames", [1, 2, 3, 9])
def test_a_matroska_file_of_few_frames_is_whole(tmp_path, num_frames):
    # The last one of three frames begins at two thirds of the file's length.
    write_video_with_sound(tmp_path / "a.mkv", FRAMES[:num_frames], 10.0, ramp(num_frames / 10), RATE)
    (clip,) = read_sequences(tmp_path / "a.mkv", SequenceForm((48, 64)))
    assert len(clip.frames) == num_frames
    assert len(encode_clip(tmp_path / "a.mkv", (48, 64)).frames) == num_frames


def test_a_file_that_announces_more_than_it_holds_is_cut_short(tmp_path):
    write_video(tmp_path / "whole.mp4", np.random.default_rng(0).integers(0, 255, (35, 48, 64, 3), np.uint8), 10.0)
    # The index, with the number of frames, comes first in a file that is made for streaming.
    with (
        av.open(str(tmp_path / "whole.mp4")) as source,
        av.open(str(tmp_path / "streamed.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = (tmp_path / "streamed.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidVideoError, match="cut short|breaks off"):
        list(read_sequences(tmp_path / "cut.mp4", FORM))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="sample_rate must be 0 or more, got -1"):
        SequenceForm((64, 64), sample_rate=-1)
    with pytest.raises(ValueError, match="size must be a positive height and width"):
        SequenceForm((0, 64))


def test_only_some_containers_are_written(tmp_path):
    with pytest.raises(ValueError, match="cannot write '.webm' files; write one of .avi, .mkv, .mp4"):
        write_video_with_sound(tmp_path / "a.webm", FRAMES, 10.0, ramp(1), RATE)
