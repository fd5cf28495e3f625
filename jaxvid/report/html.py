"""Elements of HTML that the pages of a report are made of; pages refer to nothing outside themselves."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

from jaxvid.metrics.classification import Estimate


@dataclass(frozen=True)
class PlotImages:
    """A plot as PNG files, drawn for a light and for a dark page."""

    light: bytes
    dark: bytes


@dataclass(frozen=True)
class Interaction:
    """What makes a page react to its reader.

    Attributes:
      data: what the script finds as JSON in the element `data`; any JSON value.
      script: JavaScript, run as a module once the page is there; no other script of the page is.
      style: CSS beside that of all pages.
      connects: whether the script may ask the server of the page for more.
    """

    data: Any
    script: str
    style: str = ""
    connects: bool = False


# What a page may load. One that reacts also plays and shows the files beside it.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_INTERACTIVE_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: file: 'self'; media-src file: 'self'; "
    "style-src 'unsafe-inline'; script-src "
)


def render(
    title: str,
    summary: str,
    sections: Sequence[str],
    footer: str,
    interaction: Interaction | None = None,
    style: str = "",
) -> str:
    """Renders a whole page; the title is escaped, the summary, sections and footer are HTML already.

    `style` is CSS beside that of all pages and of the interaction.
    """
    template = Template(resources.files("jaxvid.report").joinpath("page.html").read_text(encoding="utf-8"))
    script, policy = "", _POLICY
    if interaction:
        digest = base64.b64encode(hashlib.sha256(interaction.script.encode("utf-8")).digest()).decode("ascii")
        policy = f"{_INTERACTIVE_POLICY}'sha256-{digest}'" + ("; connect-src 'self'" if interaction.connects else "")
        script = (
            f'<script type="application/json" id="data">{json_in_html(interaction.data)}</script>\n'
            f'<script type="module">{interaction.script}</script>'
        )
    return template.substitute(
        title=html.escape(title),
        summary=summary,
        sections="\n".join(sections),
        footer=footer,
        policy=policy,
        style=style + (interaction.style if interaction else ""),
        script=script,
    )


def json_in_html(data: Any) -> str:
    """Formats a value as JSON in which nothing can end the element around it, or begin another."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def section(heading: str, content: str) -> str:
    """Makes a section of a page with its heading."""
    return f"<section>\n<h2>{heading}</h2>\n{content}\n</section>"


def paragraph(content: str) -> str:
    """Makes a paragraph."""
    return f"<p>{content}</p>"


def cautions_element(cautions: Sequence[str]) -> str:
    """Makes a box with a paragraph for each caution, HTML already; nothing if there are none."""
    if not cautions:
        return ""
    paragraphs = "\n".join(map(paragraph, cautions))
    return f'<div class="caution" role="note">\n{paragraphs}\n</div>'


def row_cells(cells: Sequence[str]) -> str:
    """Makes the cells of a row, the first of which is its heading; texts are escaped."""
    first, *others = map(html.escape, cells)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def plot_element(plot: PlotImages, alt: str, caption: str) -> str:
    """Makes the element of a plot, light or dark as the page, with its alternative text and a caption."""
    # A PNG file has its width in bytes 16 to 19; shown at two thirds of its pixels it is sharp on dense screens too.
    width = int.from_bytes(plot.light[16:20], "big") * 2 // 3
    return (
        f'<figure>\n<picture><source media="(prefers-color-scheme: dark)" srcset="{data_uri("png", plot.dark)}">'
        f'<img src="{data_uri("png", plot.light)}" width="{width}" alt="{plain(alt)}"></picture>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def table(header: Sequence[str], rows: Sequence[str], label: str) -> str:
    """Makes a table of rows that consist of cells already; it scrolls by itself where the page is narrow."""
    columns = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f"<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def metric_cell(estimate: Estimate, *, percent: bool = True) -> str:
    """Makes the cell of a metric with its interval."""
    interval = interval_text(estimate, percent=percent)
    interval = f'<span class="interval">{interval}</span>' if interval else ""
    return f"<td>{value_text(estimate['value'], percent=percent)}{interval}</td>"


def data_uri(kind: str, content: bytes) -> str:
    """Encodes an image file for use inside a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def bdi(text: str) -> str:
    """Escapes and isolates a name from outside."""
    # Isolated, so that a name written from right to left does not reverse the sentence around it.
    return f"<bdi>{html.escape(text)}</bdi>"


def plain(text: str) -> str:
    """Removes the `bdi` elements from a text: an attribute would show them as they are written."""
    return text.replace("<bdi>", "").replace("</bdi>", "")


def counted(count: int, noun: str) -> str:
    """Formats a number of things, such as "1 clip" or "2 clips"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def value_text(value: float | None, *, percent: bool = True) -> str:
    """Formats the value of a metric: 0.5 as "50.0 %", or as "0.500" if it is not in percent."""
    if value is None:
        return "undefined"
    return f"{100 * value:.1f}&nbsp;%" if percent else f"{value:.3f}"


def interval_text(estimate: Estimate, *, percent: bool = True) -> str:
    """Formats the interval of a metric as "40.0 to 60.0 %"; nothing where it has none."""
    low, high = estimate["low"], estimate["high"]
    # What is the same in all resamples has an interval of no width, which would read as certainty.
    if low is None or low == high:
        return ""
    start = f"{100 * low:.1f}" if percent else f"{low:.3f}"
    return f"{start}&nbsp;to&nbsp;{value_text(high, percent=percent)}"


def estimate_text(estimate: Estimate) -> str:
    """Formats a metric in percent, with its interval in parentheses."""
    interval = interval_text(estimate)
    value = value_text(estimate["value"])
    return f"{value} ({interval})" if interval else value
