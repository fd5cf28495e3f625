"""Pieces of HTML that the pages of a report are made of; pages refer to nothing outside themselves."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any


@dataclass(frozen=True)
class Picture:
    """A figure as PNG files, drawn for a light and for a dark page."""

    light: bytes
    dark: bytes


def render(title: str, summary: str, sections: Sequence[str], footer: str) -> str:
    """A whole page: what is told first, the sections and a footer, HTML already; the title is escaped."""
    template = Template(resources.files("jaxvid.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), summary=summary, sections="\n".join(sections), footer=footer)


def section(heading: str, content: str) -> str:
    """A section of a page under its heading."""
    return f"<section>\n<h2>{heading}</h2>\n{content}\n</section>"


def row_cells(cells: Sequence[str]) -> str:
    """The cells of a row, the first of which heads it; texts are escaped."""
    first, *others = map(html.escape, cells)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def figure_element(picture: Picture, alt: str, caption: str) -> str:
    """A picture, drawn for light and dark, with what a screen reader says and a caption."""
    # A PNG file has its width in bytes 16 to 19; shown at two thirds of its pixels it is sharp on dense screens too.
    width = int.from_bytes(picture.light[16:20], "big") * 2 // 3
    return (
        f'<figure>\n<picture><source media="(prefers-color-scheme: dark)" srcset="{data_uri("png", picture.dark)}">'
        f'<img src="{data_uri("png", picture.light)}" width="{width}" alt="{plain(alt)}"></picture>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>"
    )


def table(header: Sequence[str], rows: Sequence[str], label: str) -> str:
    """A table whose rows are made of cells already, which scrolls by itself where the page is narrow."""
    columns = "".join(f'<th scope="col">{name}</th>' for name in header)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n'
        f"<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def figure_cell(figure: Mapping[str, Any]) -> str:
    """The cell of a figure with its interval."""
    interval = range_in_words(figure)
    interval = f'<span class="interval">{interval}</span>' if interval else ""
    return f"<td>{percent(figure['value'])}{interval}</td>"


def data_uri(kind: str, content: bytes) -> str:
    """The content of a file for use inside a page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def bdi(text: str) -> str:
    """A name from outside, escaped."""
    # Isolated, so that a name written from right to left does not turn the sentence round.
    return f"<bdi>{html.escape(text)}</bdi>"


def plain(text: str) -> str:
    """Text with names in it for an attribute, where elements would be read out."""
    return text.replace("<bdi>", "").replace("</bdi>", "")


def counted(count: int, noun: str) -> str:
    """A number of things, such as "1 clip" or "2 clips"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def percent(value: float | None) -> str:
    """A share, such as 0.5, as "50.0 %"."""
    return "undefined" if value is None else f"{100 * value:.1f}&nbsp;%"


def number(value: float | None) -> str:
    """A number with three digits after the point."""
    return "undefined" if value is None else f"{value:.3f}"


def range_in_words(figure: Mapping[str, Any]) -> str:
    """The interval of a figure, or nothing where it has none."""
    # What does not vary between resamples has an interval of no width, which would read as certainty.
    if figure["low"] is None or figure["low"] == figure["high"]:
        return ""
    return f"{100 * figure['low']:.1f}&nbsp;to&nbsp;{percent(figure['high'])}"


def in_words(figure: Mapping[str, Any]) -> str:
    """A figure with its interval."""
    interval = range_in_words(figure)
    return f"{percent(figure['value'])} ({interval})" if interval else percent(figure["value"])
