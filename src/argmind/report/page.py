"""One self-contained HTML page: its styles inside, no request to anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from argmind.report.markup import escape


class Section(Protocol):
    """A piece of a page."""

    def render(self) -> str:
        """The piece as HTML."""
        ...


@dataclass(frozen=True)
class Heading:
    """A heading below the page's title (level 2 or 3)."""

    text: str
    level: int = 2

    def render(self) -> str:
        """The heading element."""
        return f"<h{self.level}>{escape(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    text: str

    def render(self) -> str:
        """The paragraph element."""
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Bullets:
    """A list of plain sentences."""

    items: Sequence[str]

    def render(self) -> str:
        """The list element."""
        return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in self.items) + "</ul>"


@dataclass(frozen=True)
class Cell:
    """A table cell: text, and a smaller note under it (a range, say)."""

    text: str
    note: str = ""

    def render(self) -> str:
        """The content of the cell."""
        note = f'<span class="note">{escape(self.note)}</span>' if self.note else ""
        return escape(self.text) + note


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first ``labels`` columns are words and whose others are figures."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    caption: str
    labels: int = 1
    marked: frozenset[int] = frozenset()  # rows to set off from the others

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"a row of {len(row)} cells under {len(self.header)} headings")

    def render(self) -> str:
        """A figure with the table, which scrolls sideways on a narrow screen."""
        head = "".join(
            f'<th scope="col"{self._kind(i)}>{escape(text)}</th>'
            for i, text in enumerate(self.header)
        )
        body = "".join(self._row(i, row) for i, row in enumerate(self.rows))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        region = f'role="region" aria-label="{escape(self.caption)}" tabindex="0"'
        return _figure(f'<div class="scroll" {region}>{table}</div>', self.caption, "table")

    def _row(self, index: int, row: Sequence[Cell | str]) -> str:
        mark = ' class="marked"' if index in self.marked else ""
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        inside = "".join(f"<td{self._kind(i)}>{cell.render()}</td>" for i, cell in enumerate(cells))
        return f"<tr{mark}>{inside}</tr>"

    def _kind(self, column: int) -> str:
        return "" if column < self.labels else ' class="figure"'


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A picture (trusted inline SVG) and a caption that says what is seen."""

    svg: str
    caption: str

    def render(self) -> str:
        """A figure with the picture."""
        return _figure(self.svg, self.caption, "plot")


@dataclass(frozen=True)
class Plots:
    """Pictures that belong together: side by side where there is room."""

    items: Sequence[Plot]

    def render(self) -> str:
        """A grid of figures."""
        return '<div class="grid">' + "".join(item.render() for item in self.items) + "</div>"


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """Trusted HTML made by another part of the report, with its caption."""

    html: str
    caption: str

    def render(self) -> str:
        """A figure with the fragment."""
        return _figure(self.html, self.caption, "fragment")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page: title, one sentence under it, facts of the run, sections."""

    title: str
    lead: str = ""
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()

    def render(self) -> str:
        """The HTML document."""
        lead = f'<p class="lead">{escape(self.lead)}</p>' if self.lead else ""
        body = "\n".join(section.render() for section in self.sections)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escape(self.title)}</title>\n<style>\n{stylesheet()}</style>\n</head>\n"
            f"<body>\n<main>\n<header>\n<h1>{escape(self.title)}</h1>\n{lead}\n"
            f"{_facts(self.facts)}\n</header>\n{body}\n</main>\n</body>\n</html>\n"
        )


def stylesheet() -> str:
    """The one stylesheet of all pages."""
    return resources.files("argmind.report").joinpath("style.css").read_text(encoding="utf-8")


def _figure(inside: str, caption: str, kind: str) -> str:
    return f'<figure class="{kind}">{inside}<figcaption>{escape(caption)}</figcaption></figure>'


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    items = "".join(
        f"<div{_width(value)}><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts
    )
    return f'<dl class="facts">{items}</dl>'


def _width(value: str) -> str:
    return ' class="wide"' if len(value) > 30 else ""
