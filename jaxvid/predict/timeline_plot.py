"""Plot of a video's timeline."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from jaxvid.predict.events import Event, Thresholds, Timeline, find_segments
from jaxvid.report.plots import LIGHT, add_legend, drawable, new_axes, new_plot, png
from jaxvid.video.damage import Flaw

_MAX_TITLE = 80
_MAX_LABEL = 24
_MAX_EVENTS_NAMED = 12
_LEGEND_COLUMNS = 4
# Height of the strip below the curves, on the scale of the probabilities.
_STRIP = 0.12
# The least length of the mark of a problem, as a share of the video.
_LEAST_BAR = 0.005


def plot_timeline(
    timeline: Timeline, events: Sequence[Event], thresholds: Thresholds, title: str, problems: Sequence[Flaw] = ()
) -> bytes:
    """Plots probabilities over time, with events shaded and thresholds as lines; returns a PNG file.

    Parts of the video that were not read as recorded are marked by gray bars at the top.

    With several curves, a strip below shows the most probable class.
    """
    figure = new_plot((10.0, 3.4), LIGHT)
    axes = new_axes(figure, LIGHT, "")
    axes.set_title(drawable(title, _MAX_TITLE), loc="left", color=LIGHT.ink, fontsize=10, parse_math=False)
    names = timeline.drawn_classes
    colors = {name: LIGHT.series[i % len(LIGHT.series)] for i, name in enumerate(names)}
    for name in names:
        label = drawable(name, _MAX_LABEL)
        axes.stairs(
            timeline.of_class(name), timeline.edges, color=colors[name], linewidth=1.8, baseline=None, label=label
        )
    for event in events:
        end = timeline.ends[-1] if event.offset is None else event.offset
        axes.axvspan(event.onset, end, color=colors.get(event.class_name, LIGHT.muted), alpha=0.15, linewidth=0)
    for onset in _spaced([event.onset for event in events], timeline.ends[-1] / _MAX_EVENTS_NAMED):
        axes.annotate(
            f"{onset:.1f} s",
            (onset, 1.0),
            fontsize=7.5,
            color=LIGHT.muted,
            xytext=(1, 2),
            textcoords="offset points",
        )
    for value, style, meaning, side in (
        (thresholds.on, "--", "begins", "bottom"),
        (thresholds.off, ":", "ends", "top"),
    ):
        axes.axhline(value, color=LIGHT.muted, linestyle=style, linewidth=1)
        axes.annotate(
            f" event {meaning}",
            (1, value),
            xycoords=axes.get_yaxis_transform(),
            fontsize=7.5,
            color=LIGHT.muted,
            verticalalignment=side,
        )
    least = _LEAST_BAR * float(timeline.ends[-1] - timeline.starts[0])
    for number, flaw in enumerate(problems):
        begin = min(flaw.begin, timeline.ends[-1] - least)
        length, label = max(flaw.end - flaw.begin, least), None if number else "not read as recorded"
        axes.barh(1.06, length, 0.03, left=begin, color=LIGHT.muted, zorder=3, label=label)
    strip = _STRIP if len(names) > 1 else 0.0
    for segment in find_segments(timeline) if strip else ():
        length, color = segment.end - segment.start, colors[segment.class_name]
        axes.barh(-strip / 2, length, 0.7 * strip, left=segment.start, color=color, zorder=3)
    axes.set(xlim=(timeline.starts[0], timeline.ends[-1]), ylim=(-strip, 1.08), xlabel="seconds", ylabel="probability")
    axes.grid(color=LIGHT.grid, linewidth=0.8)
    # The curves of `stairs` count as areas, over which lines would be drawn.
    axes.set_axisbelow(True)
    add_legend(axes, LIGHT, loc="lower right", bbox_to_anchor=(1, 1), ncols=_LEGEND_COLUMNS, frameon=False)
    if len(axes.get_legend_handles_labels()[1]) <= _LEGEND_COLUMNS:
        _lay_out(axes)
    return png(figure)


def _spaced(onsets: Sequence[float], distance: float) -> list[float]:
    """Returns onsets far enough apart for their labels not to overlap."""
    kept: list[float] = []
    for onset in sorted(onsets):
        if not kept or onset - kept[-1] >= distance:
            kept.append(onset)
    return kept


def _lay_out(axes: Axes) -> None:
    """Puts everything where there is room for it; to let matplotlib find out doubles the time of a plot."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.06, right=0.92, bottom=0.15, top=0.88)
    axes.title.set_y(1.02)
    axes.xaxis.set_label_coords(0.5, -0.11)
    axes.yaxis.set_label_coords(-0.04, 0.5)
