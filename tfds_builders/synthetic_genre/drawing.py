"""Videos whose class is a motion and a sound, which are independent.

The motion: a ball swings sideways or up and down, blurred along its path as a camera would blur it. The sound: chirps
that rise, or the same chirps played backwards, which fall, in noise. Colors, ground, position and speed are random, and
so are loudness, pitch and speed of the sound.
"""

import math

import cv2
import numpy as np
from jaxtyping import Int16, UInt8

FRAME_SIZE = (72, 96)

MOTIONS = ("sideways", "upright")
SOUNDS = ("falling", "rising")

# Positions of the ball that are averaged in one frame.
_EXPOSURES = 8


def draw_motion(
    rng: np.random.Generator, motion: str, num_frames: int, fps: float
) -> UInt8[np.ndarray, "time height width 3"]:
    """Draws the frames of a ball that swings as `motion` says."""
    height, width = FRAME_SIZE
    ground = cv2.resize(rng.integers(20, 90, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    color = [int(value) for value in rng.integers(150, 256, 3)]
    center = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.6)
    radius, reach = round(height * rng.uniform(0.08, 0.12)), height * rng.uniform(0.25, 0.35)
    swings_per_second, phase = rng.uniform(0.6, 1.0), rng.uniform(0, 2 * math.pi)
    frames = []
    for number in range(num_frames):
        exposed = np.zeros((height, width, 3), np.float32)
        for part in range(_EXPOSURES):
            seconds = (number + part / _EXPOSURES) / fps
            offset = reach * math.sin(2 * math.pi * swings_per_second * seconds + phase)
            x, y = (offset, 0.0) if motion == "sideways" else (0.0, offset)
            image = ground.copy()
            cv2.circle(image, (round(center[0] + x), round(center[1] + y)), radius, color, -1, cv2.LINE_AA)
            exposed += image
        frames.append((exposed / _EXPOSURES).astype(np.uint8))
    return np.stack(frames)


def play_sound(rng: np.random.Generator, sound: str, seconds: float, sample_rate: int) -> Int16[np.ndarray, "sample"]:
    """Returns chirps that rise, or fall, in noise."""
    chirp_seconds, low, factor = rng.uniform(0.3, 0.5), rng.uniform(300, 500), rng.uniform(3, 4)
    times = np.arange(round(chirp_seconds * sample_rate)) / sample_rate
    # The pitch grows evenly on a logarithmic scale.
    cycles = low * chirp_seconds / math.log(factor) * (factor ** (times / chirp_seconds) - 1)
    chirp = np.sin(2 * math.pi * cycles) * np.hanning(len(times))
    num_samples = round(seconds * sample_rate)
    repeated = np.roll(np.tile(chirp, num_samples // len(chirp) + 2), rng.integers(len(chirp)))[:num_samples]
    played = rng.uniform(0.1, 0.5) * repeated + 0.02 * rng.standard_normal(num_samples)
    return np.asarray(32767 * np.clip(played if sound == "rising" else played[::-1], -1, 1)).astype(np.int16)
