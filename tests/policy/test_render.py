"""Films and strips of episodes."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from argmind.errors import UserError
from argmind.policy import render as module
from argmind.policy.render import film, render, require_renderable, strip
from argmind.policy.rollout import Planned, Rollout

image = pytest.importorskip("PIL.Image")

SIDE, PANEL = 64, 84


def episode(steps: int = 20, energy: float = 1.0, every: int = 1, **rest) -> Rollout:
    pictured = [*range(0, steps, every), steps]
    pictures = [np.full((SIDE, SIDE, 3), 5 * step % 256, np.uint8) for step in pictured]
    plans = [
        Planned(step, 3.0, energy * step, nfe=2, ms=1.0, spread=math.nan)
        for step in range(0, steps, 8)
    ]
    shown = {"pictures": pictures, "pictured": pictured}
    return Rollout(**{"seed": 0, "steps": steps, "plans": plans, **shown, **rest})


def blue(picture: np.ndarray) -> np.ndarray:
    """Where the line of energies after thinking is drawn."""
    return (picture == (0, 114, 178)).all(-1)


def test_a_film_has_a_picture_a_step_and_the_energy_up_to_then() -> None:
    frames = list(film(episode()))
    assert len(frames) == 21
    for step, frame in enumerate(frames):
        assert frame.shape == (SIDE + PANEL, SIDE, 3)
        assert (frame[:SIDE] == 5 * step).all()
    drawn = [int(blue(frame).any(0).sum()) for frame in frames]
    assert drawn == sorted(drawn)
    assert drawn[-1] > 3 * drawn[4]


def test_the_line_goes_up_with_the_energy() -> None:
    last = blue(list(film(episode()))[-1])
    rows, columns = last.nonzero()
    assert rows[columns == columns.max()].min() < rows[columns == columns.min()].min()


def test_high_starts_leave_room_for_the_rest() -> None:
    sheets = [strip(episode(energy=1e-3)), strip(episode(energy=0.0)), strip(episode(steps=1))]
    heights = [len(set(blue(sheet).nonzero()[0].tolist())) for sheet in sheets]
    assert heights[0] > 12  # differences of 0.016 below starts of 3
    assert heights[1] <= 3
    assert heights[2] <= 3


def test_a_model_without_energy_says_so() -> None:
    frames = list(film(episode(energy=math.nan)))
    assert not blue(frames[-1]).any()
    assert (frames[-1][SIDE:] < 255).any()


def test_a_disturbance_is_marked_once_it_happened() -> None:
    frames = list(film(episode(perturbed_at=10)))
    marked = [(frame == (213, 94, 0)).all(-1).any() for frame in frames]
    assert marked == [False] * 10 + [True] * 11


def test_a_strip_has_begin_and_end() -> None:
    sheet = strip(episode(), columns=5)
    assert sheet.shape == (SIDE + PANEL, 5 * SIDE, 3)
    assert [sheet[0, SIDE * k, 0] for k in range(5)] == [0, 25, 50, 75, 100]
    assert strip(episode(steps=1), columns=5).shape[1] == 2 * SIDE


def test_a_gif(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.gif"
    render(path, [episode(), episode(steps=10), Rollout(seed=3)], fps=10)
    with image.open(path) as found:
        assert found.n_frames == 21 + 11
        assert found.size == (SIDE, SIDE + PANEL)
        assert found.info["duration"] == 100


def test_a_film_of_every_third_step_is_as_fast_as_life(tmp_path: Path) -> None:
    render(tmp_path / "out.gif", [episode(steps=40, every=3)], fps=30)
    with image.open(tmp_path / "out.gif") as found:
        assert found.n_frames == 15
        assert found.info["duration"] == 100


def test_strips_of_several_episodes(tmp_path: Path) -> None:
    render(tmp_path / "out.png", [episode(), episode()], fps=10)
    with image.open(tmp_path / "out.png") as found:
        assert found.size == (8 * SIDE, 2 * (SIDE + PANEL))


def test_other_files_are_refused_first() -> None:
    for name in ("out.avi", "out", "gif"):
        with pytest.raises(UserError, match=r"ends in \.gif, \.mp4, \.png"):
            require_renderable(Path(name))
    with pytest.raises(UserError, match="no pictures were taken"):
        render(Path("out.gif"), [Rollout(seed=0)], fps=10)


def test_mp4_without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)  # noqa: ARG005
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"needs ffmpeg.*or write a/out\.gif"):
        require_renderable(Path("a/out.mp4"))


def test_mp4_is_what_ffmpeg_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\necho "$@" > "$last"\nwc -c >> "$last"\n')
    program.chmod(0o755)
    monkeypatch.setattr(module.shutil, "which", lambda name: str(program))  # noqa: ARG005
    tall = [np.zeros((33, 33, 3), np.uint8)] * 4
    render(tmp_path / "out.mp4", [episode(steps=3, pictures=tall)], fps=12.5)
    words, count = (tmp_path / "out.mp4").read_text().splitlines()
    assert "-s 34x118" in words  # even sides
    assert "-r 12.5" in words
    assert int(count) == 4 * 34 * 118 * 3
    program.write_text("#!/bin/sh\necho no encoder >&2\nexit 1\n")
    with pytest.raises(UserError, match="no encoder"):
        render(tmp_path / "other.mp4", [episode(steps=3)], fps=10)
    assert not (tmp_path / "other.mp4").exists()
