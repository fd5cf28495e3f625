"""Videos: what is found, written and decoded, and how broken files are reported."""

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest

from jaxvid.video import truncation
from jaxvid.video.clips import EncodedClip, decode_clips, encode_clip
from jaxvid.video.files import find_videos, write_video
from jaxvid.video.workers import InvalidVideo, InvalidVideoError

SIZE = (48, 64)


def grey_levels(num_frames: int) -> np.ndarray:
    return 20 + np.arange(num_frames) * 10 % 200


def grey_frames(num_frames: int) -> np.ndarray:
    """Frames of one gray each, which tells their position."""
    return np.broadcast_to(grey_levels(num_frames)[:, None, None, None], (num_frames, 96, 128, 3)).astype(np.uint8)


def textured_frames(num_frames: int) -> np.ndarray:
    """Frames that do not compress away, so that a part of the file is a part of the frames."""
    return np.random.default_rng(0).integers(0, 256, (num_frames, 96, 128, 3), dtype=np.uint8)


def decoded_frames(clip: EncodedClip) -> np.ndarray:
    return np.stack([cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR_RGB) for frame in clip.frames])


def run_script(code: str, directory: Path) -> str:
    script = directory / "script.py"
    script.write_text(textwrap.dedent(code))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=True, cwd=directory, env=environment
    ).stdout


def test_clips_come_back_in_order_with_size_and_frame_rate(tmp_path):
    paths = []
    for position, (num_frames, fps) in enumerate([(9, 25.0), (1, 30.0), (20, 12.5), (2, 25.0), (5, 30.0), (7, 25.0)]):
        paths.append(tmp_path / f"clip{position}{'.avi' if position % 2 else '.mp4'}")
        write_video(paths[-1], grey_frames(num_frames), fps)

    clips = list(decode_clips(paths, SIZE, num_workers=2))

    assert [clip.path for clip in clips] == paths
    assert all(isinstance(clip, EncodedClip) for clip in clips)
    assert [len(clip.frames) for clip in clips] == [9, 1, 20, 2, 5, 7]
    np.testing.assert_allclose([clip.fps for clip in clips], [25, 30, 12.5, 25, 30, 25], rtol=1e-3)
    frames = decoded_frames(clips[2])
    assert frames.shape == (20, *SIZE, 3)
    np.testing.assert_allclose(frames.mean((1, 2, 3)), grey_levels(20), atol=4)


def test_colors_keep_their_order(tmp_path):
    red = np.zeros((4, 96, 128, 3), np.uint8)
    red[..., 0] = 200
    write_video(tmp_path / "red.avi", red, 25.0)
    np.testing.assert_allclose(
        decoded_frames(encode_clip(tmp_path / "red.avi", SIZE)).mean((0, 1, 2)), [200, 0, 0], atol=6
    )


# decord takes the padding of narrow rows for channels.
@pytest.mark.parametrize("size", [(16, 16), (24, 48), (30, 171), (64, 64), (80, 72)])
def test_every_size_gives_three_channels(tmp_path, size):
    frames = np.zeros((3, 96, 128, 3), np.uint8)
    frames[:, :, 64:] = 200
    write_video(tmp_path / "clip.avi", frames, 25.0)
    decoded = decoded_frames(encode_clip(tmp_path / "clip.avi", size))
    assert decoded.shape == (3, *size, 3)
    np.testing.assert_allclose(decoded[:, :, : size[1] // 2 - 2].mean(), 0, atol=6)
    np.testing.assert_allclose(decoded[:, :, size[1] // 2 + 2 :].mean(), 200, atol=6)


def test_broken_files_are_reported_and_the_others_decoded(tmp_path):
    write_video(tmp_path / "whole.mp4", textured_frames(20), 25.0)
    write_video(tmp_path / "whole.avi", textured_frames(20), 25.0)
    mp4, avi = (tmp_path / "whole.mp4").read_bytes(), (tmp_path / "whole.avi").read_bytes()
    flipped = bytearray(avi)
    flipped[len(avi) // 3 : 2 * len(avi) // 3 : 40] = bytes(
        255 - byte for byte in flipped[len(avi) // 3 : 2 * len(avi) // 3 : 40]
    )
    # A file that is all there, but announces more frames than it holds: the counts in the AVI's two headers.
    short = bytearray(avi)
    for header, offset in ((b"avih", 24), (b"strh", 40)):
        position = avi.index(header) + offset
        assert int.from_bytes(avi[position : position + 4], "little") == 20
        short[position : position + 4] = (30).to_bytes(4, "little")
    files = {
        "empty.mp4": b"",
        "text.avi": b"not a video\n" * 50,
        "truncated.mp4": mp4[: len(mp4) // 2],
        "truncated.avi": avi[: len(avi) // 2],
        "nearly_whole.avi": avi[: int(0.97 * len(avi))],
        "fewer_frames.avi": bytes(short),
        "flipped.avi": bytes(flipped),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "broken_link.mp4").symlink_to(tmp_path / "nowhere")

    results = {result.path.name: result for result in decode_clips(find_videos(tmp_path), SIZE, num_workers=2)}

    reasons = {name: result.reason for name, result in results.items() if isinstance(result, InvalidVideo)}
    assert "is empty" in reasons.pop("empty.mp4")
    assert "cannot be opened" in reasons.pop("text.avi")
    assert "cannot open" in reasons.pop("truncated.mp4")
    assert reasons.pop("truncated.avi") == f"it is cut short: {len(avi) // 2} of {len(avi)} bytes"
    assert "cut short" in reasons.pop("nearly_whole.avi")
    assert "only 20 frames decode" in reasons.pop("fewer_frames.avi")
    assert "No such file" in reasons.pop("broken_link.mp4")
    # Of damaged content the decoder may conceal what it can; the file is reported or decoded, and hinders no other.
    reasons.pop("flipped.avi", None)
    assert reasons == {}
    assert len(results["whole.mp4"].frames) == len(results["whole.avi"].frames) == 20


def test_an_unreadable_file_is_reported(tmp_path, monkeypatch):
    write_video(tmp_path / "secret.mp4", grey_frames(3), 25.0)

    # Root may read files of any mode.
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(truncation, "missing_bytes", denied)
    with pytest.raises(InvalidVideoError, match="cannot be read: Permission denied"):
        encode_clip(tmp_path / "secret.mp4", SIZE)


def test_a_directory_is_reported_as_unreadable(tmp_path):
    with pytest.raises(InvalidVideoError, match="cannot be read: Is a directory") as caught:
        encode_clip(tmp_path, SIZE)
    assert caught.value.path == tmp_path


def test_files_with_odd_names_decode(tmp_path, monkeypatch):
    names = ["-i.mp4", "_-x_0.avi", "žluťoučký kůň 馬.mp4", "concat:a.mp4", "a b%03d.avi"]
    for name in names:
        write_video(tmp_path / name, grey_frames(3), 25.0)
    # Relative paths: the worst case for a name that looks like an option.
    monkeypatch.chdir(tmp_path)
    assert [len(clip.frames) for clip in decode_clips([Path(name) for name in names], SIZE, num_workers=1)] == [3] * 5


def test_a_pipe_is_no_video(tmp_path):
    # Reading a pipe that nobody writes to never returns.
    os.mkfifo(tmp_path / "a_hangs.mp4")
    write_video(tmp_path / "b_whole.mp4", grey_frames(3), 25.0)

    hanging, whole = decode_clips(find_videos(tmp_path), SIZE, num_workers=1, timeout_seconds=20.0)

    assert hanging == InvalidVideo(tmp_path / "a_hangs.mp4", "it is not a regular file")
    assert len(whole.frames) == 3


def test_a_decoder_that_crashes_or_hangs_is_replaced(tmp_path, monkeypatch):
    # The workers import the modules of this process: here a decoder that breaks on certain files.
    (tmp_path / "decord.py").write_text(
        textwrap.dedent("""
            import os, time, types, numpy

            logging = types.SimpleNamespace(QUIET=0, set_level=print)

            class VideoReader:
                def __init__(self, path, width, height, num_threads):
                    if "abort" in path:
                        os.abort()
                    if "hang" in path:
                        time.sleep(1000)
                    if "error" in path:
                        raise OSError("[12:00:00] /x/y.cc:12: [12:00:00] /x/z.cc:3: Check failed: bad packet\\nStack")
                    self.shape = (height, width, 3)
                def __len__(self):
                    return 2
                def get_avg_fps(self):
                    return 25
                def get_frame_timestamp(self, indices):
                    return numpy.stack([indices, indices + 1], axis=1) / 25
                def next(self):
                    return types.SimpleNamespace(asnumpy=lambda: numpy.zeros(self.shape, numpy.uint8))
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = [
        tmp_path / f"{position}_{kind}.mpg" for position, kind in enumerate(("abort", "fine", "hang", "error", "fine"))
    ]
    for path in paths:
        path.write_bytes(b"\0\0\1\xb3video")

    results = list(decode_clips(paths, (64, 64), num_workers=1, timeout_seconds=2.0))

    assert [result.reason if isinstance(result, InvalidVideo) else len(result.frames) for result in results] == [
        "the decoder crashed: killed by SIGABRT",
        2,
        "not decoded within 2 s",
        "the decoder failed: Check failed: bad packet",
        2,
    ]


def test_workers_that_cannot_start_are_an_error_and_not_a_broken_file(tmp_path, monkeypatch, capfd):
    (tmp_path / "decord.py").write_text("raise ImportError('no decoder here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ChildProcessError, match="did not start: exit code 1"):
        next(decode_clips([tmp_path / "clip.mp4"], SIZE))
    assert "no decoder here" in capfd.readouterr().err


def test_the_time_of_the_consumer_does_not_count_towards_the_timeout(tmp_path):
    for position in range(4):
        write_video(tmp_path / f"clip{position}.mp4", grey_frames(3), 25.0)
    results = []
    for result in decode_clips(find_videos(tmp_path), SIZE, num_workers=2, timeout_seconds=1.5):
        results.append(result)
        if len(results) == 1:
            time.sleep(2)
    assert all(isinstance(result, EncodedClip) for result in results)


def test_closing_the_iterator_ends_the_workers(tmp_path):
    for position in range(6):
        write_video(tmp_path / f"clip{position}.mp4", grey_frames(3), 25.0)
    before = set(psutil.Process().children())
    clips = decode_clips(find_videos(tmp_path), SIZE, num_workers=2)
    next(clips)
    assert len(set(psutil.Process().children()) - before) == 2
    clips.close()
    assert set(psutil.Process().children()) <= before


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    write_video(tmp_path / "clip.mp4", grey_frames(3), 25.0)
    output = run_script(
        """
        import sys
        from pathlib import Path
        from jaxvid.video.clips import decode_clips
        print([len(clip.frames) for clip in decode_clips([Path("clip.mp4")], (64, 64))])
        print([name for name in ("jax", "tensorflow", "tensorflow_datasets") if name in sys.modules])
        """,
        tmp_path,
    )
    assert output == "[3]\n[]\n"


def test_workers_end_when_their_parent_is_killed_even_while_decoding(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "hangs.mpg").write_bytes(b"\0\0\1\xb3video")
    (tmp_path / "decord.py").write_text(
        "import types\nlogging = types.SimpleNamespace(QUIET=0, set_level=print)\n"
        "def VideoReader(*_, **__): open('pipe').read()"
    )
    script = "from jaxvid.video.clips import *; list(decode_clips([Path('hangs.mpg')], (64, 64), num_workers=1))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as parent:
        workers = []
        while not workers:
            time.sleep(0.05)
            workers = psutil.Process(parent.pid).children()
        # Not before it is at work: the pipe has a reader as soon as it can be opened for writing.
        pipe = None
        while pipe is None:
            time.sleep(0.05)
            pipe = open_for_writing(tmp_path / "pipe")
        parent.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    os.close(pipe)
    assert not alive


def open_for_writing(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 64)}, "size must be a positive height and width, got (0, 64)"),
        ({"num_workers": 0}, "num_workers must be positive or None, got 0"),
        ({"timeout_seconds": 0.0}, "timeout_seconds must be positive, got 0.0"),
        ({"quality": 101}, "quality must be in 1..100, got 101"),
    ],
)
def test_options_out_of_range_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        decode_clips([], **({"size": SIZE} | options))


def test_no_videos_give_no_clips():
    assert list(decode_clips([], SIZE)) == []


def test_videos_are_found_at_any_depth_in_order_by_extension_in_any_case(tmp_path):
    for name in ("b/2.MP4", "b/1.avi", "a/deep/er/3.Mpg", "4.webm", "note.txt", ".hidden/5.mp4", "a/._6.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mp4").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)]
    assert names == ["4.webm", "a/deep/er/3.Mpg", "b/1.avi", "b/2.MP4"]


def test_finding_videos_in_a_file_is_an_error(tmp_path):
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ValueError, match=r"clip\.mp4 is not a directory"):
        find_videos(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("name", "height", "message"),
    [("clip.mov", 96, r"cannot write '\.mov' files"), ("clip.mp4", 95, "even height and width, got 95x128")],
)
def test_videos_that_cannot_be_written_are_refused(tmp_path, name, height, message):
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / name, grey_frames(2)[:, :height], 25.0)


def write_avi_that_skips_frames(path):
    """Writes ten frames, of which every other place is skipped: an AVI of 19 places, 50 per second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=50)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 2 * number, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_an_avi_that_skips_frames_is_whole(tmp_path):
    # As one of the files of Violent Flows: 163 places, 81 frames.
    write_avi_that_skips_frames(tmp_path / "skips.avi")
    clip = encode_clip(tmp_path / "skips.avi", SIZE)
    assert len(clip.frames) == 10
    # One frame every 40 ms, though the file announces 50 per second.
    assert clip.fps == pytest.approx(25)


def test_an_avi_that_is_cut_within_its_skipped_frames_is_not_whole(tmp_path):
    write_avi_that_skips_frames(tmp_path / "skips.avi")
    content = (tmp_path / "skips.avi").read_bytes()
    # Without the index and the last chunks; a size of 0 stands for an unknown one.
    last_chunks = content.rindex(b"00dc", 0, content.index(b"idx1")) - 100
    (tmp_path / "cut.avi").write_bytes(content[:4] + bytes(4) + content[8:last_chunks])
    with pytest.raises(InvalidVideoError, match="only . frames decode, fewer than the file announces"):
        encode_clip(tmp_path / "cut.avi", SIZE)


def write_variable_rate(path):
    """Writes eight frames at irregular times; the last one is shown for 240 ms, as long as the one before it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for milliseconds in (0, 40, 80, 500, 510, 520, 1500, 1740):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_the_frame_rate_of_a_video_of_variable_rate_is_its_frames_divided_by_its_duration(tmp_path):
    write_variable_rate(tmp_path / "variable.mkv")
    with av.open(str(tmp_path / "variable.mkv")) as container:
        assert container.streams.video[0].average_rate == 25
    assert encode_clip(tmp_path / "variable.mkv", SIZE).fps == pytest.approx(8 / 1.98)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "clip.mpg"])
def test_the_frame_rate_of_a_video_of_constant_rate_is_the_announced_one(tmp_path, name):
    with av.open(str(tmp_path / name), "w", format="mpeg" if name == "clip.mpg" else None) as container:
        stream = container.add_stream("mpeg1video" if name == "clip.mpg" else "mpeg4", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert encode_clip(tmp_path / name, SIZE).fps == pytest.approx(30000 / 1001)
