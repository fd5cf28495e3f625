"""Drawings of the page about data: histograms, places in a clip, sound. They take the colors of the page."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int, Int16
from matplotlib.ticker import MaxNLocator

from jaxvid.data.show.facts import Histogram
from jaxvid.report.html import bdi, data_uri, plain

# Colors of the page, as of the reports' plots.
NUM_SERIES = 8
_NUM_TICKS = 6
# Columns of the drawing of a waveform.
_MAX_COLUMNS = 600


def histogram(values: Histogram, names: Sequence[str]) -> str:
    """Draws a histogram of lengths for each class; for too many classes to tell apart, one of all."""
    counts, names = values.counts, list(map(bdi, names))
    if len(names) > NUM_SERIES:
        counts, names = counts.sum(axis=0, keepdims=True), ["All classes"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = "\n".join(
        f'<div class="name" title="{plain(name)}">{name}</div>{_bars(of_class / shares.max(), number, name)}'
        for number, (name, of_class) in enumerate(zip(names, shares, strict=True))
    )
    axis = _axis(float(values.edges[0]), float(values.edges[-1]))
    return f'<div class="histogram">\n{rows}\n<div></div>{axis}\n</div>'


def _bars(heights: Float[np.ndarray, "bin"], number: int, name: str) -> str:
    bars = "".join(
        f'<rect x="{position}.06" y="{1 - height:.4f}" width=".88" height="{height:.4f}"/>'
        for position, height in enumerate(heights.tolist())
        if height
    )
    return (
        f'<svg viewBox="0 0 {len(heights)} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="Lengths of {plain(name)}" fill="var(--series-{number % NUM_SERIES})">{bars}</svg>'
    )


def _axis(low: float, high: float) -> str:
    """Makes an axis of seconds from `low` to `high`, with ticks at round numbers."""
    ticks = np.asarray(MaxNLocator(_NUM_TICKS).tick_values(low, high))
    inside = ticks[(ticks >= low - 1e-9) & (ticks <= high + 1e-9)].tolist()
    spans = "".join(
        f'<span style="left:{100 * (tick - low) / (high - low):.2f}%">{tick:.4g}{" s" * (tick == inside[-1])}</span>'
        for tick in inside
    )
    return f'<div class="axis">{spans}</div>'


def places(positions: Int[np.ndarray, "time"], num_frames: int) -> str:
    """Draws where in a clip of so many frames the frames at `positions` are."""
    marks = "".join(f"M{100 * (position + 0.5) / num_frames:.2f} 0V9" for position in np.unique(positions).tolist())
    words = f"Frames {int(positions.min()) + 1} to {int(positions.max()) + 1} of {num_frames}"
    return (
        f'<svg class="ticks" viewBox="0 0 100 9" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f'<line x1="0" x2="100" y1="4.5" y2="4.5"/><path d="{marks}"/></svg>'
    )


def waveform(samples: Int16[np.ndarray, "sample"], seconds: float) -> str:
    """Draws the least and the greatest of the samples in every part of a sound that lasts `seconds`."""
    starts = np.unique(np.linspace(0, len(samples) - 1, _MAX_COLUMNS).astype(int))
    low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
    # Quiet sound is enlarged: how loud a clip is the spectra show too.
    scale = max(1, int(np.abs(samples.astype(int)).max()))
    path = "".join(
        f"M{column}.5 {-top / scale:.3f}V{-bottom / scale + 0.004:.3f}"
        for column, (bottom, top) in enumerate(zip(low.tolist(), high.tolist(), strict=True))
    )
    drawing = (
        f'<svg viewBox="0 -1 {len(starts)} 2" preserveAspectRatio="none" role="img" aria-label="Waveform">'
        f'<path d="{path}"/></svg>'
    )
    return f'<div class="spectrum"><div></div>{drawing}{_axis(0.0, seconds)}</div>'


def spectrum(values: Float[np.ndarray, "time band"], name: str, seconds: float, scale: Sequence[str]) -> str:
    """Draws spectra as a picture, time from left to right and the bands from the bottom up; brighter is more.

    Args:
      values: the spectra.
      name: of the picture.
      seconds: that they last.
      scale: labels of the vertical axis, evenly spaced from the bottom up.
    """
    low, high = float(values.min()), float(values.max())
    levels = np.rint(255 * (values.T[::-1] - low) / max(high - low, 1e-6)).astype(np.uint8)
    _, encoded = cv2.imencode(".png", cv2.applyColorMap(levels, cv2.COLORMAP_MAGMA))
    labels = "".join(
        f'<span style="bottom:{place:g}%">{label}</span>'
        for place, label in zip(np.linspace(0, 100, len(scale)).tolist(), scale, strict=True)
    )
    return (
        f'<div class="spectrum"><div class="scale">{labels}</div><img src="{data_uri("png", encoded.tobytes())}" '
        f'alt="{name}">{_axis(0.0, seconds)}</div>'
    )
