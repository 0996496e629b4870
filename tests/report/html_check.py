"""Reads a page as a parser does and says what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link", "col"}
LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "ping"}
FETCHING = {"script", "link", "iframe", "object", "embed", "base", "audio", "video", "form"}
OWN_PICTURES = ("data:image/png;base64,", "data:image/gif;base64,")


@dataclass
class Found:
    """What stands in a page."""

    faults: list[str] = field(default_factory=list)
    tags: Counter = field(default_factory=Counter)
    ids: Counter = field(default_factory=Counter)
    headings: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    words: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Found()
        self.open: list[str] = []
        self.figure: list[int] = []

    def handle_starttag(self, tag, attrs):
        found, names = self.found, [name for name, _ in attrs]
        found.tags[tag] += 1
        if len(set(names)) != len(names):
            found.faults.append(f"<{tag}> repeats an attribute")
        if tag == "img" and not dict(attrs).get("alt"):
            found.faults.append("a picture without words for it")
        if tag in FETCHING:
            found.faults.append(f"<{tag}> can load something")
        for name, value in attrs:
            value = value or ""
            own = (tag, name) == ("img", "src") and value.startswith(OWN_PICTURES)
            if (name in LOADING and not own) or name.startswith("on"):
                found.faults.append(f"<{tag} {name}>")
            if name.endswith("href") and not value.startswith(("#", "data:image/png;base64,")):
                found.faults.append(f"link to {value}")
            if name == "id":
                found.ids[value] += 1
        if tag == "figure":
            self.figure.append(0)
        if tag == "figcaption":
            self.figure[-1] += 1
            found.captions.append("")
        if tag in ("h1", "h2", "h3"):
            found.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.found.faults.append(f"</{tag}> closes something else")
        if tag == "figure" and self.figure.pop() != 1:
            self.found.faults.append("a figure without exactly one caption")

    def handle_data(self, data):
        if "style" in self.open:
            if "url(" in data or "@import" in data:
                self.found.faults.append("the stylesheet loads something")
            return
        self.found.words += data
        if "figcaption" in self.open:
            self.found.captions[-1] += data
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.found.headings[-1] += data


def check(page: str) -> Found:
    """What a page holds; ``faults`` is empty for a sound, self-contained page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    found = reader.found
    found.faults += [f"<{tag}> is never closed" for tag in reader.open]
    found.faults += [f"id {name} stands twice" for name, count in found.ids.items() if count > 1]
    if any(len(caption) < 20 for caption in found.captions):
        found.faults.append("a caption that says nothing")
    if "://" in page or "http" in page:
        found.faults.append("an address")
    forbidden = [c for c in page if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0]
    found.faults += [f"forbidden character {c!r}" for c in forbidden]
    return found
