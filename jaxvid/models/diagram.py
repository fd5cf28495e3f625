"""A network as a picture: boxes from the input to the classes, as Figures 4.1 and 4.2 of paper 1.4.

A box is a layer with the normalization, activation, dropout and pool that follow it, or a module with all that is in
it. Arrows are what the equations of the traced program take from one another.
"""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jax.extend.core import JaxprEqn, Var
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from jaxvid.files import replacing
from jaxvid.models.summary import Layer, Trace, layer_of, shape_text

MAX_BOXES = 24
# Drawn as one box, though there is a layer inside.
_WHOLE = ("LSTM", "ConvLSTMLayer")
# Layers that join the box before them.
_FOLLOWERS = ("BatchNorm", "LayerNorm", "Activation", "Dropout", "max-pool")
_CLASSES = "classes"

# In inches.
_WIDTH, _HEIGHT, _GAP, _GUTTER, _TITLE, _LINE = 2.5, 0.86, 0.3, 0.5, 0.3, 0.155
_RANKS_IN_COLUMN = 12
_FONT_SIZE = 8  # points
_LINES = "#444444"
_DPI = 144


@dataclass
class Box:
    """A box of the diagram.

    Attributes:
      title: path of its first layer, or the name of an input.
      layers: what it is made of, as text.
      output: shape, as text.
      parameters: number of trained ones.
      sources: keys of the boxes that it takes, in the order of the calls.
    """

    title: str
    layers: list[str]
    output: str
    parameters: int = 0
    sources: dict[str, None] = field(default_factory=dict)


@dataclass
class _Unit:
    """A layer or a pool, with the units that it takes."""

    layer: Layer
    sources: dict[str, None] = field(default_factory=dict)


def boxes_of(traced: Trace, depth: int = 0) -> dict[str, Box]:
    """Returns the boxes of a network by key, each after those that it takes; the last one are the classes.

    Args:
      traced: the network.
      depth: levels of modules that are opened; 0 opens all modules of one kind after another, those of the fewest boxes
        first, as long as there are at most MAX_BOXES.
    """
    if depth:
        opened = {path for path in _containers(traced) if path.count("/") < depth - 1}
        return _boxes(traced, opened)
    opened: set[str] = set()
    boxes = _boxes(traced, opened)
    while True:
        following = [(_boxes(traced, more), more) for more in _with_one_more_kind(traced, opened)]
        fitting = [pair for pair in following if len(pair[0]) <= MAX_BOXES]
        if not fitting:
            return boxes
        boxes, opened = min(fitting, key=lambda pair: len(pair[0]))


def _containers(traced: Trace) -> list[str]:
    """Returns the paths of the modules that have layers inside."""
    parents = {path.rpartition("/")[0] for path in traced.layers}
    return [path for path, layer in traced.layers.items() if path in parents and layer.kind not in _WHOLE]


def _with_one_more_kind(traced: Trace, opened: set[str]) -> Iterator[set[str]]:
    closed = [path for path in _containers(traced) if path not in opened and _parents_in(path, opened)]
    for kind in dict.fromkeys(traced.layers[path].kind for path in closed):
        yield opened | {path for path in closed if traced.layers[path].kind == kind}


def _parents_in(path: str, opened: set[str]) -> bool:
    names = path.split("/")
    return all("/".join(names[:i]) in opened for i in range(1, len(names)))


def _boxes(traced: Trace, opened: set[str]) -> dict[str, Box]:
    units, last = _units(traced, opened)
    boxes = {name: Box(name, [], shape_text(shape)) for name, shape in traced.inputs.items()}
    box_of = {name: name for name in boxes}
    for key, unit in units.items():
        sources = dict.fromkeys(box_of[source] for source in unit.sources)
        before = next(iter(sources), "")
        if len(sources) == 1 and _follows(unit.layer, boxes[before], before in traced.inputs):
            boxes[before].layers.append(_text(unit.layer))
            boxes[before].output = shape_text(unit.layer.outputs)
            boxes[before].parameters += unit.layer.parameters
            box_of[key] = before
        else:
            boxes[key] = Box(
                unit.layer.path,
                [_text(unit.layer)],
                shape_text(unit.layer.outputs),
                unit.layer.parameters,
                sources,
            )
            box_of[key] = key
    used = {source for box in boxes.values() for source in box.sources}
    boxes = {key: box for key, box in boxes.items() if key in used or key not in traced.inputs}
    logits = traced.program.out_avals[0].shape
    return boxes | {_CLASSES: Box(_CLASSES, [], shape_text(logits), 0, dict.fromkeys(box_of[key] for key in last))}


def _follows(layer: Layer, box: Box, is_input: bool) -> bool:
    beside = layer.kind == "max-pool" or layer.path.rpartition("/")[0] == box.title.rpartition("/")[0]
    return layer.kind in _FOLLOWERS and beside and not is_input


def _text(layer: Layer) -> str:
    if layer.kind == "Activation":
        return layer.detail
    return f"{layer.kind} {layer.detail}".strip()


def _units(traced: Trace, opened: set[str]) -> tuple[dict[str, _Unit], dict[str, None]]:
    """Returns the units of a network by key, and the keys of those that the logits come from."""
    jaxpr = traced.program.jaxpr
    inputs = jaxpr.invars[len(jaxpr.invars) - len(traced.inputs) :]
    # The units, or inputs, that a value comes from; lengths of sequences are not drawn.
    origins: dict[Var, dict[str, None]] = {
        variable: {name: None} for variable, name in zip(inputs, traced.inputs, strict=True) if "num" not in name
    }
    units: dict[str, _Unit] = {}
    for number, equation in enumerate(jaxpr.eqns):
        sources = _origins_of(equation.invars, origins)
        key, layer = _unit_of(equation, number, traced.layers, opened)
        if layer is not None:
            unit = units.setdefault(key, _Unit(layer))
            unit.sources |= {source: None for source in sources if source != key}
            sources = {key: None}
        origins |= dict.fromkeys(equation.outvars, sources)
    return units, _origins_of(jaxpr.outvars, origins)


def _origins_of(variables: Iterable[object], origins: Mapping[Var, dict[str, None]]) -> dict[str, None]:
    found: dict[str, None] = {}
    for variable in variables:
        if isinstance(variable, Var):
            found |= origins.get(variable, {})
    return found


def _unit_of(
    equation: JaxprEqn, number: int, layers: Mapping[str, Layer], opened: set[str]
) -> tuple[str, Layer | None]:
    """Returns the key and the layer of an equation: the outermost module around it that is not opened, or a pool."""
    names = layer_of(equation).split("/")
    for i in range(1, len(names) + 1):
        path = "/".join(names[:i])
        if path in layers and path not in opened:
            return path, layers[path]
    if pool := re.search(r"max_pool_(\w+)", str(equation.source_info.name_stack)):
        shape = tuple(equation.outvars[0].aval.shape)  # pyright: ignore[reportAttributeAccessIssue]
        return f"pool {number}", Layer("", "max-pool", pool[1], shape, shape)
    return "", None


def draw_diagram(traced: Trace, title: str, output: Path, depth: int = 0) -> None:
    """Draws a network into a file of the format that its extension says.

    Args:
      traced: the network.
      title: above the picture.
      output: is replaced.
      depth: as of `boxes_of`.

    Raises:
      ValueError: if there is no such format.
    """
    figure = Figure()
    formats = figure.canvas.get_supported_filetypes()
    if output.suffix.removeprefix(".") not in formats:
        raise ValueError(f"--diagram is {str(output)!r}; allowed: a file that ends in .{', .'.join(formats)}")
    boxes = boxes_of(traced, depth)
    places = _places(boxes)
    width = max(place.x for place in places.values()) + _WIDTH + 2 * _GAP
    height = -min(place.y for place in places.values()) + _HEIGHT + 2 * _GAP + _TITLE
    figure.set_size_inches(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    top = _HEIGHT + _GAP + _TITLE
    axes.set(xlim=(-_GAP, width - _GAP), ylim=(top - height, top))
    axes.set_axis_off()
    axes.text(0, top - _TITLE / 2, title, fontsize=_FONT_SIZE + 3, va="center", weight="bold")
    for key, box in boxes.items():
        _draw_box(axes, box, places[key].x, places[key].y)
        for source in box.sources:
            _draw_arrow(axes, places[source], places[key], places.values())
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as unfinished:
        figure.savefig(unfinished, dpi=_DPI)


class _Place(NamedTuple):
    """Left and bottom of a box, and the left of the column of ranks that it is in."""

    x: float
    y: float
    column: float


def _places(boxes: Mapping[str, Box]) -> dict[str, _Place]:
    """Returns the place of every box: below all that it takes, in columns of equal height."""
    ranks: dict[str, int] = {}
    lanes: dict[str, int] = {}
    taken: set[tuple[int, int]] = set()
    for key, box in boxes.items():
        ranks[key] = rank = 1 + max((ranks[source] for source in box.sources), default=-1)
        # Below the first box that it takes, or beside what is there already.
        lane = min((lanes[source] for source in box.sources), default=0)
        lanes[key] = lane = next(free for free in itertools.count(lane) if (rank, free) not in taken)
        taken.add((rank, lane))
    num_ranks = max(ranks.values()) + 1
    per_column = -(-num_ranks // -(-num_ranks // _RANKS_IN_COLUMN))
    places, left = {}, 0.0
    for first in range(0, num_ranks, per_column):
        inside = [key for key in boxes if first <= ranks[key] < first + per_column]
        for key in inside:
            x, y = left + lanes[key] * (_WIDTH + _GAP), (first - ranks[key]) * (_HEIGHT + _GAP)
            places[key] = _Place(x, y, left)
        left = max(places[key].x for key in inside) + _WIDTH + _GUTTER
    return places


def _draw_box(axes: Axes, box: Box, x: float, y: float) -> None:
    color = "#e8f1f8" if box.layers else "#f1ece2"
    axes.add_patch(
        FancyBboxPatch((x, y), _WIDTH, _HEIGHT, "round,pad=0,rounding_size=0.06", facecolor=color, edgecolor="#5b7a91")
    )
    parameters = f"{box.parameters:,} parameters" if box.parameters else ""
    texts = (box.title, *box.layers[:1], ", ".join(box.layers[1:]), box.output, parameters)
    lines = [line for line in texts if line]
    for i, line in enumerate(lines):
        center = y + _HEIGHT / 2 + ((len(lines) - 1) / 2 - i) * _LINE
        weight = "normal" if i else "bold"
        axes.text(x + _WIDTH / 2, center, line, fontsize=_FONT_SIZE, ha="center", va="center", weight=weight)


def _draw_arrow(axes: Axes, source: _Place, target: _Place, places: Collection[_Place]) -> None:
    start, end = (source.x + _WIDTH / 2, source.y), (target.x + _WIDTH / 2, target.y + _HEIGHT)
    above = end[1] + _GAP / 2
    if source.column != target.column:
        # Down, up between the columns, and into the next one from above.
        below, turn = start[1] - _GAP / 2, target.column - _GUTTER / 2
        corners = [start, (start[0], below), (turn, below), (turn, above), (end[0], above)]
    elif any(place.x == source.x and target.y < place.y < source.y for place in places):
        # Around the boxes between.
        right = source.x + _WIDTH
        turn = right + _GAP / 2
        corners = [(right, source.y + _HEIGHT / 2), (turn, source.y + _HEIGHT / 2), (turn, above), (end[0], above)]
    else:
        corners = [start, (start[0], above), (end[0], above)]
    axes.plot(*zip(*corners, strict=True), color=_LINES, linewidth=0.9, solid_joinstyle="round", snap=False)
    arrow = FancyArrowPatch(
        corners[-1], end, arrowstyle="-|>", mutation_scale=9, shrinkA=0, shrinkB=0, color=_LINES, linewidth=0.9
    )
    axes.add_patch(arrow)
