"""Small pictures in a page: PNG and GIF inside it, enlarged without smoothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import optional_module
from argmind.report.markup import escape

Pixels = NDArray[np.uint8]

#: Pictures are enlarged to about this side in pixels.
SIDE = 64


@dataclass(frozen=True)
class Picture:
    """An image (C, H, W), or the frames (T, C, H, W) of a moving one, and a few words below it."""

    pixels: Pixels
    alt: str
    note: str = ""
    frame_ms: int = 120

    def render(self) -> str:
        """The image element and its note."""
        if self.pixels.ndim == 4:
            kind, content = "gif", gif(self.pixels, self.frame_ms)
        else:
            kind, content = "png", png(self.pixels)
        code = base64.b64encode(content).decode("ascii")
        note = f'<span class="note">{escape(self.note)}</span>' if self.note else ""
        return f'<img alt="{escape(self.alt)}" src="data:image/{kind};base64,{code}">{note}'


@dataclass(frozen=True, kw_only=True)
class PictureTable:
    """Pictures in rows under headings, with a label before each row."""

    header: Sequence[str]
    labels: Sequence[str]
    rows: Sequence[Sequence[Picture]]
    caption: str

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.rows):
            raise ValueError(f"{len(self.labels)} labels for {len(self.rows)} rows of pictures")
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"a row of {len(row)} pictures under {len(self.header)} headings")

    def render(self) -> str:
        """A figure with the table, which scrolls sideways on a narrow screen."""
        head = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("", *self.header))
        body = "".join(
            f'<tr><th scope="row">{escape(label)}</th>'
            + "".join(f"<td>{picture.render()}</td>" for picture in row)
            + "</tr>"
            for label, row in zip(self.labels, self.rows, strict=True)
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        region = f'role="region" aria-label="{escape(self.caption)}" tabindex="0"'
        return (
            f'<figure class="pictures"><div class="scroll" {region}>{table}</div>'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )


def png(pixels: Pixels) -> bytes:
    """An image (C, H, W) of one or three channels, enlarged.

    Raises:
        UserError: Pillow is not installed.
    """
    content = io.BytesIO()
    _image(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


def gif(frames: Pixels, frame_ms: int) -> bytes:
    """Frames (T, C, H, W), enlarged, one after another for ever.

    Raises:
        UserError: Pillow is not installed.
    """
    first, *rest = [_image(frame) for frame in frames]
    content = io.BytesIO()
    first.save(
        content, "GIF", save_all=True, append_images=rest, duration=frame_ms, loop=0, disposal=2
    )
    return content.getvalue()


def _image(pixels: Pixels) -> Any:
    pillow: Any = optional_module("PIL.Image", "pictures in a report", "image")
    times = max(1, SIDE // pixels.shape[-1])
    large = pixels.repeat(times, axis=-2).repeat(times, axis=-1)
    last = large[0] if len(large) == 1 else large.transpose(1, 2, 0)
    return pillow.fromarray(np.ascontiguousarray(last))
