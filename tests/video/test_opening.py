"""Files that name other files or addresses, that are no files, that are too large, or whose times are absurd."""

import os
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from jaxvid.video import opening, streams, workers
from jaxvid.video.clips import decode_clips, encode_clip
from jaxvid.video.damage import Damage
from jaxvid.video.files import write_video
from jaxvid.video.opening import names_no_other_file
from jaxvid.video.sequences import SequenceForm, read_sequences
from jaxvid.video.sound import Sound
from jaxvid.video.streams import open_video, raw_frames
from jaxvid.video.workers import InvalidVideo, InvalidVideoError, decode_in_workers

SIZE = (64, 64)


def write_stream(path, times, container_format=None, codec="libx264"):
    """Writes gray frames that begin at `times` in seconds."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


NAMING = {
    "concat.avi": "ffconcat version 1.0\nfile canary.avi\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\ncanary.ts\n#EXT-X-ENDLIST\n",
    "vobsub.mkv": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
}


@pytest.mark.parametrize("name", NAMING)
def test_a_file_that_names_others_is_no_video(name, tmp_path):
    (tmp_path / name).write_text(NAMING[name])
    write_stream(tmp_path / "canary.avi", np.arange(5) / 25)
    write_stream(tmp_path / "canary.ts", np.arange(5) / 25, "mpegts")
    # A picture track: opening it would be no error.
    (tmp_path / "vobsub.sub").write_bytes((tmp_path / "canary.ts").read_bytes())
    for read in (
        lambda: encode_clip(tmp_path / name, SIZE),
        lambda: encode_clip(tmp_path / name, SIZE, decoder="av"),
        lambda: list(read_sequences(tmp_path / name, SequenceForm(SIZE, sample_rate=8000))),
        lambda: open_video(tmp_path / name).__enter__(),
    ):
        with pytest.raises(InvalidVideoError, match=f"{name}: it cannot be opened: (it is no container of video|Inv)"):
            read()


def test_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_stream(tmp_path / "a.ts", np.arange(3) / 25, "mpegts")
    (tmp_path / "concat:a.ts|a.ts").write_bytes(b"no video")
    with pytest.raises(InvalidVideoError, match="cannot be opened"), open_video("concat:a.ts|a.ts"):
        pass


def test_decord_gets_binary_containers_alone(tmp_path):
    for name in ("a.avi", "a.mp4", "a.mkv", "a.flv"):
        write_stream(tmp_path / name, np.arange(3) / 25, None, "flv" if name == "a.flv" else "libx264")
        assert names_no_other_file(tmp_path / name)
    (tmp_path / "a.avi").write_bytes(b"RIFF, a list of files")
    assert not names_no_other_file(tmp_path / "a.avi")


def test_tags_that_are_not_utf8_do_not_matter(tmp_path):
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        container.metadata["title"] = "caf__"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    content = (tmp_path / "a.avi").read_bytes()
    assert b"caf__" in content
    (tmp_path / "a.avi").write_bytes(content.replace(b"caf__", "café".encode("latin-1") + b"_"))
    with open_video(tmp_path / "a.avi") as container:
        assert container.streams.video[0].width == 64


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(InvalidVideoError, match="it is not a regular file"), open_video(tmp_path / "a.mp4"):
        pass


def test_frames_that_are_too_large_are_not_decoded(tmp_path, monkeypatch):
    write_stream(tmp_path / "a.mp4", np.arange(3) / 25)
    monkeypatch.setattr(opening, "MAX_PIXELS", 64 * 63)
    with pytest.raises(InvalidVideoError):
        encode_clip(tmp_path / "a.mp4", SIZE, decoder="av")


def greedy(path):
    """A decoder that asks for as many GiB as the name of the file says."""
    yield len(bytearray(int(path.stem) << 30)) >> 30


def test_a_decoder_that_asks_for_too_much_memory_fails_alone(tmp_path):
    assert workers._MAX_MEMORY == 4 << 30
    results = [result for _, result in decode_in_workers(greedy, [tmp_path / "5", tmp_path / "0"], num_workers=1)]
    assert results == [InvalidVideo(tmp_path / "5", "decoding takes more than 4 GiB of memory"), 0]


def fails(path):
    """A decoder with an error that nobody foresaw."""
    raise KeyError(path.name)


def test_an_unforeseen_error_is_the_reason(tmp_path):
    [(_, result)] = decode_in_workers(fails, [tmp_path / "a"], num_workers=1)
    assert result == InvalidVideo(tmp_path / "a", "the decoder failed: KeyError: 'a'")


@pytest.mark.parametrize("late", [7200.0, 1e7])
def test_a_frame_that_comes_absurdly_late_ends_the_video(late, tmp_path):
    path = write_stream(tmp_path / "a.mkv", [0.0, 0.04, 0.08, late])
    with (
        open_video(path) as container,
        pytest.raises(InvalidVideoError, match="after 0.1 s, its next frame is to come"),
    ):
        list(raw_frames(container, path))
    damage = Damage()
    with open_video(path) as container:
        assert [seconds for seconds, _ in raw_frames(container, path, damage)] == [0.0, 0.04, 0.08]
    assert "its next frame is to come at" in str(damage)
    with pytest.raises(InvalidVideoError, match="its next frame is to come"):
        list(read_sequences(path, SequenceForm(SIZE, fps=4.0, num_frames=8)))


def test_a_slide_that_stays_for_an_hour_is_a_slide(tmp_path, monkeypatch):
    path = write_stream(tmp_path / "a.mkv", [0.0, 3599.0])
    with open_video(path) as container:
        assert [seconds for seconds, _ in raw_frames(container, path)] == [0.0, 3599.0]
    monkeypatch.setattr(streams, "LONGEST_VIDEO", 3000.0)
    with open_video(path) as container, pytest.raises(InvalidVideoError, match="is to come at 3599"):
        list(raw_frames(container, path))


def test_silence_before_a_piece_of_sound_takes_no_more_than_is_asked_for():
    one = np.ones(8, np.int16)
    # The second piece begins after 30,000 years.
    sound = Sound(iter([(0.0, one), (1e12, 2 * one)]), 8)
    np.testing.assert_array_equal(sound.stretch(0.0, 2.0), [1] * 8 + [0] * 8)
    np.testing.assert_array_equal(sound.stretch(1.5, 3.0), [0] * 12)
    later = Sound(iter([(0.0, one), (2.0, 2 * one)]), 8)
    np.testing.assert_array_equal(later.stretch(0.0, 1.5), [1] * 8 + [0] * 4)
    np.testing.assert_array_equal(later.stretch(1.0, 2.5), [0] * 8 + [2] * 4)


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "b.avi", "b.mkv", "b.mpg"])
def test_both_decoders_give_the_same_frames(name, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 96, 128, 3), np.uint8)
    frames = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in noise])
    if name[0] == "a":
        write_video(tmp_path / name, frames, 25.0)
    else:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg2video" if name == "b.mpg" else "libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode(None))
    by_decord, by_av = (encode_clip(tmp_path / name, (72, 96), 100, decoder) for decoder in ("decord", "av"))
    assert len(by_decord.frames) == len(by_av.frames) == 40
    assert by_decord.fps == pytest.approx(by_av.fps)
    images = [np.stack([cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1) for jpeg in clip.frames]).astype(float)
              for clip in (by_decord, by_av)]  # fmt: skip
    difference = np.abs(images[0] - images[1])
    assert difference.mean() < 1.0
    assert difference.max() <= 10


def test_unknown_decoders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="decoder must be one of decord, av, got 'vlc'"):
        decode_clips([tmp_path / "a.avi"], SIZE, decoder="vlc")
