"""Videos and predictors whose probabilities can be calculated by hand."""

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
