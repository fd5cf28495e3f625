"""Videos and predictors whose probabilities can be calculated by hand."""

import struct
from fractions import Fraction

import av
import numpy as np

from jaxvid.config import base_config
from jaxvid.predict.predictor import Predictor
from jaxvid.video.files import write_video

FPS = 10.0
# Grays of 2 s dark, 2 s light, 2 s dark.
FIGHT = [30] * 20 + [220] * 20 + [30] * 20


def redness(_, inputs):
    """Returns 1 - red and red, the mean red of each window."""
    red = inputs["frames"][..., 0].astype(np.float32).mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - red, red], axis=-1)


def red_predictor(**dataset):
    """A predictor of calm and fight, for which the mean red of a window of one second is the probability of a fight."""
    config = base_config()
    config.dataset.update(class_names=("calm", "fight"), frame_size=(16, 16), clip_seconds=1.0, fps=FPS)
    config.dataset.update(dataset)
    config.clip.update(num_frames=5)
    return Predictor(config, {}, 2, redness)


def write_red(path, levels, *, side=64, sound=False):
    """Writes a video that shows each level of red for half a second, at ten frames per second; returns its path."""
    frames = np.zeros((5 * len(levels), side, side, 3), np.uint8)
    frames[..., 0] = np.repeat(np.asarray(levels), 5)[:, None, None] * 255
    if not sound:
        write_video(path, frames, FPS)
        return path
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=16000)
        video.width = video.height = side
        video.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        for start in range(0, 1600 * len(frames), 1024):
            tone = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def write_recording(path, levels, *, size=(64, 64), rate=8000):
    """Writes a video with sound as a camera does: each level of red for half a second, at 10 frames a second.

    Grain makes the frames some kilobytes large, every fifth frame can be decoded alone, and the index of an MP4 is at
    its beginning, so that a part of the file can be read. Returns the path.
    """
    grain = np.random.default_rng(0)
    codecs = {".mp4": ("libx264", "aac"), ".avi": ("mpeg4", "pcm_s16le")}[path.suffix]
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        video = container.add_stream(codecs[0], rate=10, options={"g": "5"})
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        audio = container.add_stream(codecs[1], rate=rate, layout="mono")
        for i, level in enumerate(np.repeat(levels, 5)):
            image = grain.integers(0, 60, (*size, 3)).astype(np.uint8)
            image[..., 0] = round(255 * level)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            tone = 8000 * np.sin(np.arange(i * rate // 10, (i + 1) * rate // 10) / 5)
            piece = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            piece.sample_rate, piece.pts, piece.time_base = rate, i * rate // 10, Fraction(1, rate)
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def cut(path, share=0.5):
    """Cuts a file to a share of its bytes; returns its path."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def flip_bits(path, begin, end, num_bits=30):
    """Flips bits between two places in a file, given as shares of its length; returns its path."""
    chance = np.random.default_rng(0)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    places = chance.integers(int(begin * len(content)), int(end * len(content)), num_bits)
    content[places] ^= (1 << chance.integers(0, 8, num_bits)).astype(np.uint8)
    path.write_bytes(content.tobytes())
    return path


def turn(path, degrees):
    """States in an MP4 that it is to be shown turned clockwise by degrees, as phones do; returns its path.

    That is the display matrix of the track's header (ISO 14496-12, 8.3.2).
    """
    content = path.read_bytes()
    position = content.rindex(_matrix(1, 0, 0, 1))
    turned = _matrix(*{0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees])
    path.write_bytes(content[:position] + turned + content[position + len(turned) :])
    return path


def _matrix(a, b, c, d):
    return struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)


def write_greys(path, greys, fps=10, size=(36, 48), sound=None):
    """Writes a video of frames of one gray each, as H.264, with `sound` of that codec and length."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        audio = container.add_stream(sound, rate=16000, layout="mono") if sound else None
        for gray in greys:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((*size, 3), gray, np.uint8), "rgb24")))
        container.mux(stream.encode(None))
        if audio is not None:
            samples = np.zeros((1, 16000 * len(greys) // fps), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
