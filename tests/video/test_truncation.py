"""Files that are cut short, at any byte and between packets, and whole ones."""

import av
import cv2
import numpy as np
import pytest

from jaxvid.video.clips import encode_clip
from jaxvid.video.sequences import SequenceForm, read_sequences
from jaxvid.video.truncation import broken_end, missing_bytes
from jaxvid.video.workers import InvalidVideoError

SIZE = (48, 64)
NUM_FRAMES = 60


def write_moving_pattern(path, container_format, codec):
    noise = np.random.default_rng(0).integers(0, 256, (96 + NUM_FRAMES, 128, 3), np.uint8)
    pattern = cv2.GaussianBlur(noise, (0, 0), 1.5)
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, "yuv420p", 1_000_000
        for start in range(NUM_FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pattern[start : start + 96], "rgb24")))
        container.mux(stream.encode(None))


def read_whole(path):
    (clip,) = read_sequences(path, SequenceForm(SIZE))
    return len(clip.frames)


CODECS = {
    "mpeg1.mpg": ("mpeg", "mpeg1video"),
    "mpeg2.mpg": ("mpeg", "mpeg2video"),
    "mpeg2.ts": ("mpegts", "mpeg2video"),
    "mpeg4.mkv": ("matroska", "mpeg4"),
    "flv1.flv": ("flv", "flv"),
}


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole")
    for name, (container_format, codec) in CODECS.items():
        write_moving_pattern(directory / name, container_format, codec)
    return directory


@pytest.mark.parametrize("name", CODECS)
def test_whole_files_pass(whole_files, name):
    assert missing_bytes(whole_files / name) is None
    assert broken_end(whole_files / name) is None
    assert len(encode_clip(whole_files / name, SIZE).frames) == NUM_FRAMES
    assert read_whole(whole_files / name) == NUM_FRAMES


@pytest.mark.parametrize("name", CODECS)
def test_a_file_cut_in_its_middle_is_refused_as_a_clip_and_as_sequences(whole_files, tmp_path, name):
    content = (whole_files / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) // 2 + 1])
    for read in (lambda: encode_clip(path, SIZE), lambda: read_whole(path)):
        with pytest.raises(InvalidVideoError, match="cut short"):
            read()


@pytest.mark.parametrize("name", ["mpeg1.mpg", "mpeg2.mpg"])
def test_a_program_stream_cut_at_any_byte_misses_the_rest_of_a_packet(whole_files, tmp_path, name):
    content = (whole_files / name).read_bytes()
    # FFmpeg writes packs of 2048 bytes: a cut between two of them leaves whole packets only.
    cuts = np.random.default_rng(0).integers(5000, len(content), 40)
    assert all(cut % 2048 for cut in cuts)
    for cut in cuts:
        (tmp_path / name).write_bytes(content[:cut])
        assert "it is cut short: its last packet has" in missing_bytes(tmp_path / name), cut


@pytest.mark.parametrize("name", ["mpeg1.mpg", "mpeg2.mpg"])
def test_a_program_stream_cut_between_packets_ends_with_an_incomplete_frame(whole_files, tmp_path, name):
    content = (whole_files / name).read_bytes()
    cuts = range(5 * 2048, len(content) - 2048, 2 * 2048)
    noticed = []
    for cut in cuts:
        (tmp_path / name).write_bytes(content[:cut])
        assert missing_bytes(tmp_path / name) is None
        noticed.append(broken_end(tmp_path / name) == "it is cut short: its last frame is incomplete")
    # Those that happen to lie between two frames are not.
    assert np.mean(noticed) >= 0.8


def test_a_transport_stream_of_whole_packets_passes_and_another_does_not(whole_files, tmp_path):
    content = (whole_files / "mpeg2.ts").read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(content[: 100 * 188])
    assert missing_bytes(path) is None
    path.write_bytes(content[: 100 * 188 + 60])
    assert missing_bytes(path) == "it is cut short: its last packet has 60 of 188 bytes"


def test_the_headers_of_packets_are_followed():
    from jaxvid.video.truncation import _missing_packet_bytes

    # MPEG-1: a pack of 12 bytes, a packet of 6 + 4; MPEG-2: 14 bytes and 2 of stuffing. Between them: zeros.
    mpeg1 = b"\0\0\1\xba\x21" + bytes(7) + b"\0\0\1\xe0\0\4data"
    mpeg2 = b"\0\0\1\xba\x44" + bytes(8) + b"\xfa\xff\xff" + b"\0\0\1\xc0\0\3abc"
    end = b"\0\0\1\xb9"
    whole = b"rest of a packet" + mpeg1 + bytes(20) + mpeg2 + end
    assert _missing_packet_bytes(whole) is None
    assert _missing_packet_bytes(whole[:-4]) is None
    assert _missing_packet_bytes(whole + b"\0\0\0\0") is None
    assert _missing_packet_bytes(whole[:-5]) == "it is cut short: its last packet has 8 of 9 bytes"
    assert _missing_packet_bytes(b"no packet") is None
    assert "its last packet has 5 of 12 bytes" in _missing_packet_bytes(mpeg1[:5])
    assert "its last packet has 10 of 14 bytes" in _missing_packet_bytes(mpeg2[:10])


def test_an_avi_that_lost_frames_within_is_no_whole_video(tmp_path):
    write_moving_pattern(tmp_path / "whole.avi", "avi", "mpeg4")
    assert read_whole(tmp_path / "whole.avi") == NUM_FRAMES
    content = (tmp_path / "whole.avi").read_bytes()
    chunks = [at for at in range(len(content)) if content.startswith(b"00dc", at)][20:24]
    # Of four frames in a row, the chunks have another name; the index still lists them.
    broken = bytearray(content)
    for chunk in chunks:
        broken[chunk : chunk + 4] = b"00xx"
        broken[chunk + 8 : chunk + 12] = b"\xff\xff\xff\xff"
    (tmp_path / "broken.avi").write_bytes(bytes(broken))
    with pytest.raises(InvalidVideoError, match=r"only .* frames decode|breaks off"):
        read_whole(tmp_path / "broken.avi")


@pytest.mark.parametrize(("lost", "is_whole"), [(0, True), (2, False), (59, False)])
def test_matroska_that_lacks_two_frames_at_its_end_is_cut_short(lost, is_whole, tmp_path):
    write_moving_pattern(tmp_path / "whole.mkv", "matroska", "mpeg4")
    content = (tmp_path / "whole.mkv").read_bytes()
    # The blocks of the frames (0xA3) have sizes in two to four bytes, then track 1.
    with av.open(str(tmp_path / "whole.mkv")) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    assert len(places) == NUM_FRAMES
    (tmp_path / "cut.mkv").write_bytes(content[: places[NUM_FRAMES - lost]] if lost else content)
    if is_whole:
        assert read_whole(tmp_path / "cut.mkv") == NUM_FRAMES
        return
    for read in (lambda: read_whole(tmp_path / "cut.mkv"), lambda: encode_clip(tmp_path / "cut.mkv", SIZE)):
        with pytest.raises(InvalidVideoError, match="it is cut short"):
            read()


@pytest.mark.parametrize("name", ["mpeg1.mpg", "mpeg4.avi"])
def test_a_file_without_its_beginning_is_not_whole(name, tmp_path):
    write_moving_pattern(tmp_path / "whole", *CODECS.get(name, ("avi", "mpeg4")))
    (tmp_path / name).write_bytes((tmp_path / "whole").read_bytes()[9001:])
    for read in (lambda: read_whole(tmp_path / name), lambda: encode_clip(tmp_path / name, SIZE)):
        with pytest.raises(InvalidVideoError, match="its beginning is missing|it cannot be opened"):
            read()
