"""Small whole videos of many formats, with and without sound, and ways to break them."""

import functools
import struct
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np

NUM_FRAMES = 50
_RATE = 8000

# Container, codec of the frames, codec of the sound.
FORMATS = {
    "xvid.avi": ("avi", "mpeg4", None),
    "xvid_sound.avi": ("avi", "mpeg4", "mp2"),
    "h264.mp4": ("mp4", "libx264", None),
    "h264_sound.mp4": ("mp4", "libx264", "aac"),
    "mpeg4.mp4": ("mp4", "mpeg4", None),
    "mpeg1_sound.mpg": ("mpeg", "mpeg1video", "mp2"),
    "mpeg2.mpg": ("mpeg", "mpeg2video", None),
    "h264.mkv": ("matroska", "libx264", None),
    "h264_sound.mkv": ("matroska", "libx264", "aac"),
    "vp8.webm": ("webm", "libvpx", None),
    "vp8_sound.webm": ("webm", "libvpx", "libopus"),
}


@functools.cache
def whole_video(name: str) -> bytes:
    """Returns a video of FORMATS: 50 frames, 160x120, 25 frames per second."""
    container_format, codec, sound_codec = FORMATS[name]
    noise = np.random.default_rng(0).integers(0, 256, (120 + NUM_FRAMES, 160, 3), np.uint8)
    pattern = cv2.GaussianBlur(noise, (0, 0), 1.5)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / name
        with av.open(str(path), "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 120, "yuv420p", 1_000_000
            rate = 48000 if sound_codec == "libopus" else 44100
            sound = container.add_stream(sound_codec, rate=rate, layout="mono") if sound_codec else None
            for start in range(NUM_FRAMES):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pattern[start : start + 120], "rgb24")))
            container.mux(stream.encode(None))
            if sound:
                silence = np.zeros((1, 2 * rate), np.float32)
                frame = av.AudioFrame.from_ndarray(silence, "flt", "mono")
                frame.sample_rate = rate
                container.mux(sound.encode(frame))
                container.mux(sound.encode(None))
        return path.read_bytes()


# Marks behind which headers state sizes, durations, rates and counts.
_MARKS = (
    b"avih", b"strh", b"strf", b"tkhd", b"mdhd", b"mvhd", b"stts", b"stsz", b"stco", b"stsc", b"ctts", b"stss", b"avc1",
    b"mp4v", b"mdat", b"moov", b"LIST", b"idx1", b"RIFF", b"elst", b"\x2a\xd7\xb1", b"\xb0\x82", b"\xba\x82",
    b"\x44\x89", b"\x23\xe3\x83", b"\xe7\x81", b"\x1f\x43\xb6\x75", b"\0\0\1\xb3", b"\0\0\1\xba", b"\0\0\1\xe0",
)  # fmt: skip
_ABSURD = (0, 1, 2, 0x7F, 0xFF, 20000, 0x7FFF, 0xFFFF, 1 << 30, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1)


def mutate(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """Returns the name of a mutation and the content broken by it."""
    name = str(rng.choice(list(MUTATIONS)))
    return name, bytes(MUTATIONS[name](bytearray(content), rng))


def _stretch(content: bytearray, rng: np.random.Generator) -> slice:
    length = int(rng.choice([1, 4, 100, 1000, max(1, len(content) // 10)]))
    begin = int(rng.integers(max(1, len(content) - length)))
    return slice(begin, begin + length)


def _cut(content, rng):
    return content[: rng.integers(len(content))]


def _cut_near_the_end(content, rng):
    return content[: len(content) - rng.integers(1, max(2, len(content) // 10))]


def _cut_the_beginning(content, rng):
    return content[rng.integers(1, len(content)) :]


def _cut_out(content, rng):
    del content[_stretch(content, rng)]
    return content


def _flip(content, rng):
    for position in rng.integers(len(content), size=rng.choice([1, 10, 100])):
        content[position] ^= 1 << int(rng.integers(8))
    return content


def _zero(content, rng):
    stretch = _stretch(content, rng)
    content[stretch] = bytes(len(content[stretch]))
    return content


def _noise(content, rng):
    stretch = _stretch(content, rng)
    content[stretch] = rng.bytes(len(content[stretch]))
    return content


def _repeat(content, rng):
    stretch = _stretch(content, rng)
    content[stretch] = content[stretch] * int(rng.integers(2, 6))
    return content


def _swap(content, rng):
    first, second = _stretch(content, rng), _stretch(content, rng)
    content[first], content[second] = content[second], content[first]
    return content


def _header(content, rng):
    length = int(rng.integers(1, 64))
    begin = int(rng.integers(0, 600))
    content[begin : begin + length] = rng.bytes(length)
    return content


def _absurd(content, rng):
    """Numbers behind marks of headers: sizes, rates, durations, counts, up to what the bytes hold."""
    marks = [mark for mark in _MARKS if mark in content]
    for mark in rng.choice(marks or [b""], size=rng.integers(1, 3)):
        places = [place for place in range(len(content)) if content.startswith(mark, place)][:50] or [0]
        place = int(rng.choice(places)) + len(mark) + int(rng.integers(-8, 40))
        value, kind = int(rng.choice(_ABSURD)), str(rng.choice(["<I", ">I", ">H", "<H", "B", ">Q", "<Q"]))
        packed = struct.pack(kind, value % (1 << 8 * struct.calcsize(kind)))
        content[max(0, place) : max(0, place) + len(packed)] = packed
    return content


def _large_frame(content, rng):
    """A frame of 20,000x20,000 in all places where one of 160x120 stood as numbers."""
    del rng
    for kind in ("<II", ">HH", ">II", "<HH"):
        content = content.replace(struct.pack(kind, 160, 120), struct.pack(kind, 20000, 20000))
    return content


MUTATIONS = {
    "cut": _cut,
    "cut near the end": _cut_near_the_end,
    "cut the beginning": _cut_the_beginning,
    "cut out": _cut_out,
    "flip": _flip,
    "zero": _zero,
    "noise": _noise,
    "repeat": _repeat,
    "swap": _swap,
    "header": _header,
    "absurd": _absurd,
    "absurd again": _absurd,
    "large frame": _large_frame,
}

# Files that name others, or addresses; {port} is one on which somebody listens.
NAMING = {
    "concat.avi": "ffconcat version 1.0\nfile canary.vob\n",
    "concat_absolute.avi": "ffconcat version 1.0\nfile '{canary}/canary.avi'\n",
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\ncanary.vob\n#EXT-X-ENDLIST\n",
    "hls_key.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"canary.key\"\n#EXTINF:1,\n"
    "canary.vob\n#EXT-X-ENDLIST\n",
    "hls_address.mkv": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "hls_of_hls.mov": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nconcat:canary.vob\n",
    "sdp.avi": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-live:2011" mediaPresentationDuration="PT1S"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>http://127.0.0.1:{port}/canary.vob'
    "</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "entity.mp4": '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "canary.vob">]><MPD>&b;</MPD>',
    "vobsub.mkv": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 000000000\n",
    "asf_reference.wmv": "[Reference]\r\nRef1=http://127.0.0.1:{port}/x?MSWMExt=.asf\r\n",
    "list.avi": "[playlist]\nFile1=canary.vob\n",
    "image%03d.mp4": "no video",
    "concat:canary.vob": "ffconcat version 1.0\nfile canary.vob\n",
    "subtitles.mkv": "1\n00:00:00,000 --> 00:00:01,000\ntext\n",
    "mpsub.avi": "FORMAT=TIME\n0 1\ntext\n",
}  # fmt: skip


def with_foreign_data(content: bytes) -> bytes:
    """Returns an MP4 whose frames are said to lie in another file."""
    return content.replace(b"url \0\0\0\1", b"url \0\0\0\0")
