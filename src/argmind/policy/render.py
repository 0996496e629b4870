"""Episodes to look at: their pictures with the energy of every plan under them."""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import optional_module
from argmind.errors import UserError
from argmind.image.pictures import write_png
from argmind.policy.rollout import Planned, Rollout
from argmind.report.pictures import gif
from argmind.train.files import explained, replace_atomically

Pixels = NDArray[np.uint8]

KINDS = (".gif", ".mp4", ".png")
#: Rows of the energy's panel, and the empty border in it.
_PANEL, _BORDER = 84, 8
#: The panel's line of words.
_WORDS = 14
_PAPER, _INK = (255, 255, 255), (34, 38, 46)
_BEFORE, _AFTER, _NOW = (150, 190, 220), (0, 114, 178), (213, 94, 0)
_COLUMNS = 8
#: The panel is so many times as high as energies after thinking differ; starts may lie beyond.
_MOST_OF_SPREAD = 4


def require_renderable(path: Path) -> None:
    """Refuse a file that could not be written, before anything is run for it.

    Raises:
        UserError: another kind than .gif, .mp4 or .png, or what writes it is not installed.
    """
    if path.suffix.lower() not in KINDS:
        raise UserError(f"cannot render to {path}: name a file that ends in {', '.join(KINDS)}.")
    optional_module("PIL.Image", f"writing {path}", "image")
    if path.suffix.lower() == ".mp4":
        _ffmpeg(path)


def render(path: Path, episodes: Sequence[Rollout], fps: float) -> None:
    """Write episodes one after another as a GIF or MP4, or as strips in one PNG.

    Args:
        fps: steps of the environment in a second.

    Raises:
        UserError: nothing was drawn, the kind of file is not known, or it cannot be written.
    """
    require_renderable(path)
    shown = [episode for episode in episodes if episode.pictures]
    if not shown:
        raise UserError(f"cannot render {path}: no pictures were taken (pictures=N takes them).")
    with explained(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        sheet = np.concatenate([strip(episode) for episode in shown])
        write_png(path, sheet.transpose(2, 0, 1))
        return
    frames = np.stack([frame for episode in shown for frame in film(episode)])
    # One rate for all, which is that of nearly all frames; the last step comes when it comes.
    rate = fps / max([b - a for one in shown for a, b in pairwise(one.pictured)], default=1)
    if path.suffix.lower() == ".gif":
        content = gif(frames.transpose(0, 3, 1, 2), max(20, round(1000 / rate)))
    else:
        content = _mp4(path, frames, rate)
    with explained(str(path)):
        replace_atomically(path, content)


def film(episode: Rollout) -> Iterator[Pixels]:
    """Every picture that was taken, the energy up to then under it: (H, W, 3)."""
    last = episode.pictured[-1]
    for step, picture in zip(episode.pictured, episode.pictures, strict=True):
        said = _said(episode, step)
        panel = _panel(episode, picture.shape[1], said, until=step, cursor=step < last)
        yield np.concatenate([picture, panel])


def strip(episode: Rollout, columns: int = _COLUMNS) -> Pixels:
    """Pictures from begin to end side by side, the energy of the episode under them."""
    count = len(episode.pictures)
    chosen = np.linspace(0, count - 1, min(columns, count)).round().astype(int)
    row = np.concatenate([episode.pictures[number] for number in chosen], axis=1)
    last = episode.pictured[-1]
    panel = _panel(episode, row.shape[1], _said(episode, last), until=last, cursor=False)
    return np.concatenate([row, panel])


def _said(episode: Rollout, step: int) -> str:
    plan = max((p for p in episode.plans if p.step <= step), key=lambda p: p.step, default=None)
    words = [f"step {step}"]
    if plan is not None and math.isfinite(plan.energy):
        words.append(f"energy {plan.energy_start:.3g} to {plan.energy:.3g}")
    if episode.perturbed_at is not None and step >= episode.perturbed_at:
        words.append("disturbed")
    if step == episode.pictured[-1]:
        words.append("done" if episode.success else "failed")
    return ", ".join(words)


def _panel(episode: Rollout, width: int, words: str, until: int, cursor: bool) -> Pixels:
    """The energy against the step: a mark for where plans start, a line after thinking."""
    pillow: Any = optional_module("PIL.Image", "drawing energies", "image")
    drawing: Any = optional_module("PIL.ImageDraw", "drawing energies", "image")
    image = pillow.new("RGB", (width, _PANEL), _PAPER)
    draw = drawing.Draw(image)
    draw.text((_BORDER, 2), words, fill=_INK)
    plans = [plan for plan in episode.plans if math.isfinite(plan.energy)]
    if not plans:
        draw.text((_BORDER, _WORDS + _BORDER), "this model has no energy", fill=_BEFORE)
        return np.asarray(image)
    low, high = _range(plans)
    room = _PANEL - _WORDS - 2 * _BORDER

    def at(step: float, energy: float) -> tuple[float, float]:
        x = _BORDER + (width - 2 * _BORDER) * step / max(episode.steps, 1)
        return x, _PANEL - _BORDER - room * min(1.0, (energy - low) / (high - low))

    for x, colour in ((until if cursor else None, _INK), (episode.perturbed_at, _NOW)):
        if x is not None and x <= until:
            draw.line([at(x, low), at(x, high)], fill=colour)
    _draw_plans(draw, [plan for plan in plans if plan.step <= until], until, at)
    return np.asarray(image)


def _range(plans: Sequence[Planned]) -> tuple[float, float]:
    """What the panel shows: energies after thinking fill a part of it, whatever the starts."""
    after = [plan.energy for plan in plans]
    every = [*after, *(p.energy_start for p in plans if math.isfinite(p.energy_start))]
    low, high, spread = min(every), max(every), max(after) - min(after)
    if spread > 0:
        high = min(high, low + _MOST_OF_SPREAD * spread)
    return low, high if high > low else low + 1


def _draw_plans(draw: Any, plans: Sequence[Planned], until: int, at: Any) -> None:
    ends = [*(plan.step for plan in plans[1:]), until]
    for plan in plans:
        if math.isfinite(plan.energy_start):
            draw.line([at(plan.step, plan.energy_start), at(plan.step, plan.energy)], fill=_BEFORE)
    line: Iterable[tuple[int, float]] = (
        place
        for plan, end in zip(plans, ends, strict=False)
        for place in ((plan.step, plan.energy), (end, plan.energy))
    )
    draw.line([at(*place) for place in line], fill=_AFTER, width=2)


def _ffmpeg(path: Path) -> str:
    """Where the program is that writes MP4 files.

    Raises:
        UserError: there is none.
    """
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        bundled: Any = optional_module("imageio_ffmpeg", f"writing {path}", "policy")
        return bundled.get_ffmpeg_exe()
    except (UserError, RuntimeError) as error:
        raise UserError(
            f"writing {path} needs ffmpeg, which is not there: install it (pip install "
            f"imageio-ffmpeg brings one), or write {path.with_suffix('.gif')}."
        ) from error


def _mp4(path: Path, frames: Pixels, rate: float) -> bytes:
    """Frames (T, H, W, 3) as H.264, with a row or column more where sides are odd."""
    odd = ((0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0))
    frames = np.ascontiguousarray(np.pad(frames, odd, mode="edge"))
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    given = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{rate:g}", "-i", "-")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "film.mp4"
        command = [_ffmpeg(path), "-loglevel", "error", *given, "-pix_fmt", "yuv420p", str(made)]
        done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise UserError(f"ffmpeg could not write {path}: {said}. Write a .gif instead.")
        return made.read_bytes()
