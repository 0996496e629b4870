"""Stops: per prediction, and really saving work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.spaces.base import Embedding
from argmind.thinking import think as module
from argmind.thinking.landscape import Landscape
from argmind.thinking.think import Thought, think
from thinking.toys import BowlModel, Bowls, BowlSpace, plan, scene

PLATEAU = part_config("stop", "plateau", tolerance=0.02)
NORM = part_config("stop", "gradient_norm", tolerance=0.3)
stops = pytest.mark.parametrize("stop", [PLATEAU, NORM], ids=["plateau", "gradient_norm"])
STEPS = 30

WALKS: dict[str, dict[str, Any]] = {
    "gradient": {},
    "momentum": {"rule": "momentum", "rule_options": {"momentum": 0.5}},
    "nesterov": {"rule": "momentum", "rule_options": {"momentum": 0.5, "nesterov": True}},
    "accept_lower": {"accept_lower": True, "size": 1.5},
    "accept_nesterov": {
        "rule": "momentum",
        "rule_options": {"momentum": 0.5, "nesterov": True},
        "accept_lower": True,
    },
}
walks = pytest.mark.parametrize("walk", WALKS)


def expected_steps(at: Any, stop: Any, size: float) -> Tensor:
    """How many moves plain descent makes before the stop says so, one prediction at a time."""
    steps = torch.zeros(at.start.shape[:-1], dtype=torch.long)
    for b, n, s in torch.cartesian_prod(*(torch.arange(k) for k in steps.shape)).tolist():
        y, a, c = at.start[b, n, s], at.bowls.curvature[b, s], at.bowls.centre[b, s]
        previous = None
        for _ in range(STEPS):
            energy, gradient = 0.5 * a * (y - c).square().sum(), a * (y - c)
            if stop is NORM and gradient.norm() < NORM.tolerance:
                break
            if stop is PLATEAU and previous is not None and previous - energy < PLATEAU.tolerance:
                break
            previous, y = energy, y - size * gradient
            steps[b, n, s] += 1
    return steps


@stops
@pytest.mark.parametrize("compacts", [False, True])
def test_each_prediction_stops_by_itself(stop: Any, compacts: bool) -> None:
    at = scene(batch=3, count=2, length=4, compacts=compacts)
    got = think(at.landscape, at.start, plan(size=0.2, steps=STEPS, stop=stop, keep=True))
    want = expected_steps(at, stop, 0.2)
    assert torch.equal(got.steps, want)
    assert len(want.unique()) > 3
    # One more evaluation than moves, to see that the next is not worth making.
    assert torch.equal(got.nfe, (want + 1).clamp(max=STEPS))
    for step, candidates in enumerate(got.candidates):
        finished = got.steps <= step
        assert torch.equal(candidates[finished], got.candidate[finished])


@stops
@walks
@pytest.mark.parametrize("tilt", [0.0, -0.001])
def test_leaving_rows_out_changes_nothing(stop: Any, walk: str, tilt: float) -> None:
    found: list[Thought] = []
    for compacts in (False, True):
        at = scene(batch=3, count=2, length=4, compacts=compacts, tilt=tilt)
        asked = plan(**{"size": 0.2, **WALKS[walk]}, steps=STEPS, stop=stop, keep=True)
        found.append(think(at.landscape, at.start, asked))
    whole, narrow = found
    assert len(whole.steps.unique()) > 1
    for name in ("candidate", "energy", "steps", "nfe", "diverged"):
        torch.testing.assert_close(getattr(whole, name), getattr(narrow, name), rtol=1e-12, atol=0)
    for a, b in zip(whole.energies, narrow.energies, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
    for a, b in zip(whole.candidates, narrow.candidates, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


@stops
@walks
def test_a_prediction_does_not_depend_on_how_long_others_think(stop: Any, walk: str) -> None:
    """Its energy too is that of the step at which it finished (here landscapes differ)."""
    at = scene(batch=3, length=4, tilt=-0.001)
    asked = plan(**{"size": 0.2, **WALKS[walk]}, steps=STEPS, stop=stop)
    whole = think(at.landscape, at.start, asked)
    assert whole.energy is not None
    for row in range(3):
        lone = scene(batch=3, length=4, tilt=-0.001)
        lone.landscape.state = type(at.bowls)(
            at.bowls.curvature[row : row + 1], at.bowls.centre[row : row + 1], tilt=-0.001
        )
        alone = think(lone.landscape, at.start[row : row + 1], asked)
        assert alone.energy is not None
        torch.testing.assert_close(alone.candidate[0], whole.candidate[row])
        torch.testing.assert_close(alone.energy[0], whole.energy[row])
        assert torch.equal(alone.steps[0], whole.steps[row])
        assert torch.equal(alone.nfe[0], whole.nfe[row])


@stops
def test_work_is_really_saved(stop: Any) -> None:
    at = scene(batch=3, length=4)
    got = think(at.landscape, at.start, plan(size=0.2, steps=STEPS, stop=stop))
    asked = at.start[..., 0].numel()
    rows = at.model.rows
    assert rows[0] == asked
    assert rows == sorted(rows, reverse=True)
    # Sequences with fewer active predictions than the longest are filled up to a rectangle.
    assert got.nfe.sum() <= sum(rows) < 0.75 * asked * len(rows)
    # When all have stopped nothing is evaluated any more, not even the last energy.
    assert len(rows) == got.nfe.max()


def test_a_fixed_budget_looks_at_every_row() -> None:
    at = scene(batch=3, length=4)
    got = think(at.landscape, at.start, plan(steps=5, stop=part_config("stop", "fixed")))
    assert at.model.rows == [12] * 6
    assert torch.equal(got.steps, torch.full_like(got.steps, 5))
    assert torch.equal(got.nfe, got.steps)


def test_a_stop_at_once_moves_nothing() -> None:
    at = scene()
    everywhere = part_config("stop", "gradient_norm", tolerance=1e9)
    got = think(at.landscape, at.start, plan(steps=5, stop=everywhere, keep=True))
    assert torch.equal(got.candidate, at.start)
    assert not got.steps.any()
    assert torch.equal(got.nfe, torch.ones_like(got.nfe))
    assert len(at.model.rows) == 1


class Dimples(BowlModel):
    """``−exp(−½ ‖y − c‖²)``: far from its centre the energy is high, and flat."""

    def energy(self, state: Bowls, embedding: Embedding, step: int) -> Tensor:  # noqa: ARG002
        return -(-0.5 * (embedding.input - state.centre[:, None]).square().sum(-1)).exp()


def test_a_rejected_move_is_no_reason_to_stop() -> None:
    """Far out the gradient is small; the move there is taken back, and thinking goes on."""
    at = scene()
    landscape = Landscape(BowlSpace(), Dimples(), at.bowls)
    start = at.bowls.centre[:, None] + 0.5
    stop = part_config("stop", "gradient_norm", tolerance=0.05)
    got = think(landscape, start, plan(size=50.0, steps=60, stop=stop, accept_lower=True))
    torch.testing.assert_close(got.candidate, at.bowls.centre[:, None], rtol=0, atol=0.05)
    assert (got.steps < 60).all()


class Clock:
    """A clock that goes on by a tenth of a second whenever it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 0.1
        return self.now_s


@pytest.mark.parametrize(("deadline_s", "steps"), [(1e-9, 1), (0.25, 3), (0.35, 4), (100.0, 9)])
def test_deadline(monkeypatch: pytest.MonkeyPatch, deadline_s: float, steps: int) -> None:
    monkeypatch.setattr(module, "time", Clock())
    at = scene()
    got = think(at.landscape, at.start, plan(steps=9, deadline_s=deadline_s, keep=True))
    assert got.steps.unique().tolist() == [steps]
    assert len(got.candidates) == steps + 1
    reference = think(at.landscape, at.start, plan(steps=steps))
    assert torch.equal(got.candidate, reference.candidate)
    assert got.energy is not None
    assert reference.energy is not None
    assert torch.equal(got.energy, reference.energy)
