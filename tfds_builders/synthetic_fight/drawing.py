"""Clips of two classes that differ in motion alone.

Two people on a patterned ground step together and reach out, and step apart again: one cycle of poses. A scene is the
list of its frames. A calm clip plays the list in order: one slow approach. A fight clip plays every k-th frame, going
around the list k times: quick, repeated blows. As k has no factor in common with the number of frames, both clips show
exactly the same frames, each once: only their order, no frame and no average over frames, distinguishes the classes.
"""

import math

import cv2
import numpy as np
from jaxtyping import Int, UInt8

FRAME_SIZE = (96, 128)


def draw_scene(rng: np.random.Generator, num_frames: int) -> UInt8[np.ndarray, "time height width 3"]:
    """Draws the frames of one cycle of poses; the first pose, colors, ground, sizes and position are random."""
    height, width = FRAME_SIZE
    ground = cv2.resize(rng.integers(20, 90, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    colors = [tuple(int(value) for value in rng.integers(120, 256, 3)) for _ in range(2)]
    body = height * rng.uniform(0.7, 0.85)
    center = (width * rng.uniform(0.45, 0.55), height * rng.uniform(0.46, 0.54))
    phase = rng.uniform()
    frames = []
    for position in range(num_frames):
        closeness = 0.5 - 0.5 * math.cos(2 * math.pi * (phase + position / num_frames))
        frame = ground.copy()
        for side, color in zip((-1, 1), colors, strict=True):
            _draw_person(frame, center, body, side, closeness, color)
        frames.append(frame)
    return np.stack(frames)


def playing_order(num_frames: int, *, fight: bool) -> Int[np.ndarray, "time"]:
    """Returns the order in which a clip plays the frames of its scene; see the module's docstring.

    Raises:
      ValueError: if there are fewer than 8 frames, too few for two paces.
    """
    if num_frames < 8:
        raise ValueError(f"a clip needs at least 8 frames, got {num_frames}")
    # About six frames per blow: still visible when every second frame is sampled.
    pace = next(k for k in range(max(3, num_frames // 6), num_frames) if math.gcd(k, num_frames) == 1) if fight else 1
    return pace * np.arange(num_frames) % num_frames


def _draw_person(
    frame: np.ndarray,
    center: tuple[float, float],
    body: float,
    side: int,
    closeness: float,
    color: tuple[int, ...],
) -> None:
    """Draws a person on the left (side -1) or right (1) of the center; the closer, the more they reach out."""
    x = center[0] + side * body * (0.6 - 0.25 * closeness)
    hip, shoulder = center[1] + 0.1 * body, center[1] - 0.2 * body
    thickness = max(2, round(0.11 * body))

    def line(start: tuple[float, float], end: tuple[float, float]) -> None:
        cv2.line(frame, _pixel(start), _pixel(end), color, thickness, cv2.LINE_AA)

    line((x, hip), (x, shoulder))
    line((x, hip), (x - 0.13 * body, center[1] + 0.5 * body))
    line((x, hip), (x + 0.13 * body, center[1] + 0.5 * body))
    cv2.circle(frame, _pixel((x, shoulder - 0.14 * body)), round(0.12 * body), color, -1, cv2.LINE_AA)
    # From hanging down to stretched out towards the other.
    angle = 0.5 * math.pi * closeness
    hand = (x - side * 0.38 * body * math.sin(angle), shoulder + 0.38 * body * math.cos(angle))
    line((x, shoulder), hand)
    cv2.circle(frame, _pixel(hand), round((0.04 + 0.2 * closeness) * body), (255, 255, 255), -1, cv2.LINE_AA)


def _pixel(point: tuple[float, float]) -> tuple[int, int]:
    return round(point[0]), round(point[1])
