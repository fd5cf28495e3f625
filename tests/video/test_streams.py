"""Frames of a file one after another: their times, their rotation, and what is noted of damaged files."""

import struct
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from jaxvid.video.clips import encode_clip
from jaxvid.video.damage import Damage, Flaw
from jaxvid.video.files import write_video
from jaxvid.video.sequences import SequenceForm, read_sequences
from jaxvid.video.sound import open_sound, write_video_with_sound
from jaxvid.video.streams import decode_stream, in_order, open_video, scaled
from jaxvid.video.workers import InvalidVideoError


def decoded(path, damage=None, size=(48, 64)):
    with open_video(path) as container:
        return list(decode_stream(container, path, size, damage))


def textured_frames(num_frames):
    """A pattern that moves, so that each frame is some kilobytes of the file."""
    noise = np.random.default_rng(0).integers(0, 256, (96 + num_frames, 128, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.stack([blurred[start : start + 96] for start in range(num_frames)])


def test_flaws_of_one_reason_within_a_second_are_one():
    damage = Damage()
    assert not damage
    for seconds, reason in ((1.0, "concealed"), (1.5, "missing"), (1.8, "concealed"), (2.9, "concealed")):
        damage.add(seconds, seconds, reason)
    assert damage.flaws == [Flaw(1.0, 1.8, "concealed"), Flaw(1.5, 1.5, "missing"), Flaw(2.9, 2.9, "concealed")]
    assert str(damage) == "1.0-1.8 s: concealed; 1.5 s: missing; 2.9 s: concealed"


def test_a_whole_file_has_no_damage(tmp_path):
    write_video(tmp_path / "whole.mp4", textured_frames(30), 10.0)
    damage = Damage()
    assert len(decoded(tmp_path / "whole.mp4", damage)) == 30
    assert damage.flaws == []
    # The last of two frames shows for half of the length that Matroska states.
    write_uneven(tmp_path / "short.mkv", [0, 40])
    assert len(decoded(tmp_path / "short.mkv")) == 2


def test_what_comes_before_the_cut_of_a_file_is_read_and_the_cut_is_noted(tmp_path):
    write_video_with_sound(tmp_path / "whole.mkv", textured_frames(40), 10.0, np.zeros(32000, np.int16), 8000)
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    damage = Damage()
    frames = decoded(tmp_path / "cut.mkv", damage)
    assert 15 <= len(frames) <= 22
    (flaw,) = damage.flaws
    # The last frame that was read, of 10 frames a second.
    assert flaw.begin == pytest.approx((len(frames) - 1) / 10, abs=0.01)
    assert f"its video ends at {flaw.begin:.1f} of 4.0 s: it is cut short" in flaw.reason


def test_frames_of_several_videos_and_sizes_are_scaled_in_threads_as_one_by_one(tmp_path):
    frames, sizes = [], [(20, 30), (48, 64), (64, 48)]
    for i, form in enumerate([(48, 64), (96, 64)]):
        noise = np.random.default_rng(i).integers(0, 256, (8, *form, 3), np.uint8)
        write_video(tmp_path / f"{i}.avi", noise, 25.0)
        with open_video(tmp_path / f"{i}.avi") as container:
            frames += container.decode(video=0)
    pairs = [(frame, size) for frame in frames for size in sizes] * 4
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda pair: scaled(*pair), pairs))
    for image, (frame, (height, width)) in zip(images, pairs, strict=True):
        alone = frame.reformat(width, height, "rgb24", interpolation="BICUBIC")
        np.testing.assert_array_equal(image, alone.to_ndarray())


def overwrite(path, begin, end, byte=0):
    """Overwrites a stretch of a file, given as shares of its length."""
    content = bytearray(path.read_bytes())
    begin, end = int(begin * len(content)), int(end * len(content))
    content[begin:end] = bytes([byte]) * (end - begin)
    path.write_bytes(content)


def spoil_packet(path, number, **stream):
    """Overwrites the content of one packet of a stream, by default of the video."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(**stream or {"video": 0}) if packet.size][number]
        begin, end = packet.pos + 8, packet.pos + packet.size
    content = bytearray(path.read_bytes())
    content[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(content)


def write_mpeg(path, codec="mpeg1video", num_frames=60, container_format="mpeg"):
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 128, 96, "yuv420p", 1_000_000
        for frame in textured_frames(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))


def test_frames_with_concealed_parts_are_noted_with_their_times(tmp_path):
    path = tmp_path / "damaged.mpg"
    write_mpeg(path)
    assert len(decoded(path)) == 60
    overwrite(path, 0.5, 0.52)
    damage = Damage()
    assert len(decoded(path, damage)) >= 50
    # Of 2.4 seconds; frames of a stream at a constant rate lie where their bytes do.
    concealed = [flaw for flaw in damage.flaws if flaw.reason == "damaged parts were concealed"]
    assert concealed
    assert all(0.8 < flaw.begin < 1.8 for flaw in concealed)


def test_data_that_does_not_decode_is_an_error_or_a_note(tmp_path):
    path = tmp_path / "damaged.avi"
    write_video(path, textured_frames(30), 10.0)
    spoil_packet(path, 10)
    with pytest.raises(InvalidVideoError, match="breaks off after 10 frames"):
        decoded(path)
    damage = Damage()
    frames = decoded(path, damage)
    assert [round(frame.seconds * 10) for frame in frames] == [*range(10), *range(11, 30)]
    assert damage.flaws == [Flaw(pytest.approx(0.9), pytest.approx(0.9), "data did not decode")]


def test_an_avi_that_is_cut_short_is_noted(tmp_path):
    write_video(tmp_path / "whole.avi", textured_frames(30), 10.0)
    content = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    damage = Damage()
    frames = decoded(tmp_path / "cut.avi", damage)
    assert 13 <= len(frames) <= 15
    (flaw,) = damage.flaws
    assert flaw.begin == pytest.approx((len(frames) - 1) / 10)
    assert flaw.reason == f"it is cut short: {len(content) // 2} of {len(content)} bytes"


class _Frame:
    def __init__(self, time):
        self.time = time


def ordered(times, damage):
    """The times at which frames that claim `times` are shown."""
    return [seconds for seconds, _ in in_order(((time, _Frame(time)) for time in times), damage)]


def test_a_single_frame_with_a_wrong_time_is_dropped():
    damage = Damage()
    assert ordered([0.0, 0.1, 9.5, 0.3, 0.4], damage) == [0.0, 0.1, 0.3, 0.4]
    assert damage.flaws == [Flaw(0.1, 0.3, "a frame with a wrong time was dropped")]


def test_frames_follow_one_another_where_the_clock_of_the_file_starts_anew():
    damage = Damage()
    assert ordered([5.0, 5.5, 0.0, 0.25, 0.5], damage) == [5.0, 5.5, 6.0, 6.25, 6.5]
    assert damage.flaws == [Flaw(5.5, 5.5, "the times of the frames go back")]
    assert ordered([0.0, 0.0, 0.1], Damage()) == [0.0, 0.0, 0.1]


def test_missing_frames_are_noted(tmp_path):
    path = tmp_path / "gap.mkv"
    write_uneven(path, [0, 40, 80, 120, 2500, 2540])
    damage = Damage()
    decoded(path, damage)
    assert damage.flaws == [Flaw(pytest.approx(0.12), pytest.approx(2.5), "frames are missing")]
    # A slide show has no rate from which a frame could be missing.
    write_uneven(path, [0, 1500, 4000, 9000])
    damage = Damage()
    decoded(path, damage)
    assert damage.flaws == []


def test_a_file_of_which_nothing_decodes_is_an_error_with_and_without_notes(tmp_path):
    write_video(tmp_path / "cut.avi", textured_frames(10), 10.0)
    content = (tmp_path / "cut.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: content.index(b"movi") + 40])
    for damage in (None, Damage()):
        with pytest.raises(InvalidVideoError, match="holds no frames|breaks off after 0 frames"):
            decoded(tmp_path / "cut.avi", damage)


def test_sound_that_breaks_off_is_an_error_or_a_note(tmp_path):
    path = tmp_path / "a.mp4"
    tone = (8000 * np.sin(np.arange(4 * 8000) / 5)).astype(np.int16)
    write_video_with_sound(path, textured_frames(40), 10.0, tone, 8000)
    spoil_packet(path, 16, audio=0)
    with pytest.raises(InvalidVideoError, match="its sound breaks off"), open_sound(path, 8000, 0.0) as sound:
        sound.stretch(0.0, 4.0)
    damage = Damage()
    with open_sound(path, 8000, 0.0, damage) as sound:
        read = len(sound.stretch(0.0, 4.0)) / 8000
    assert [flaw.reason for flaw in damage.flaws] == ["its sound breaks off"]
    assert damage.flaws[0].begin == pytest.approx(read, abs=0.3)
    assert 1.5 < read < 2.5


def write_uneven(path, times, size=(48, 64)):
    """A lossless video whose frames begin at times in milliseconds, each of one gray."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, milliseconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 20 * i, np.uint8), "rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# The display matrix of an MP4's track header: where the axes of the stored picture come to lie (ISO 14496-12, 8.3.2).
UNTURNED = (1, 0, 0, 1)
# Clockwise, in degrees.
MATRICES = {0: UNTURNED, 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def matrix_bytes(a, b, c, d):
    return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)


def quarters_of(image):
    """The colors in the middles of the four quarters, row by row."""
    height, width = image.shape[:2]
    rows = image[height // 4 :: height // 2, width // 4 :: width // 2] > 128
    return [
        "".join({(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}[tuple(p * 1)] for p in row)
        for row in rows
    ]


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, ["RG", "BW"]), (90, ["BR", "WG"]), (180, ["WB", "GR"]), (270, ["GW", "RB"])]
)
def test_rotated_videos_are_upright_in_building_checking_and_predicting(tmp_path, degrees, expected):
    stored = np.zeros((96, 128, 3), np.uint8)
    stored[:48, :64, 0] = stored[:48, 64:, 1] = stored[48:, :64, 2] = stored[48:, 64:] = 255
    path = tmp_path / "phone.mp4"
    write_video(path, np.repeat(stored[None], 10, axis=0), 25.0)
    content = path.read_bytes()
    assert content.count(matrix_bytes(*UNTURNED)) == 2
    # The first one is that of the whole film.
    position = content.rindex(matrix_bytes(*UNTURNED))
    path.write_bytes(content[:position] + matrix_bytes(*MATRICES[degrees]) + content[position + 36 :])

    size = (80, 72)
    whole = jpeg_image(encode_clip(path, size).frames[0])
    sequence = jpeg_image(next(read_sequences(path, SequenceForm(size))).frames[0])
    streamed = decoded(path, size=size)[0].image
    for image in (whole, sequence, streamed):
        assert image.shape == (*size, 3)
        assert quarters_of(image) == expected
        # Alike but for JPEG and the rounding of the two scalers.
        assert np.abs(image.astype(int) - streamed).mean() < 4


def jpeg_image(frame):
    return cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR_RGB)
