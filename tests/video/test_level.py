"""What an energy's level knows: the context, its place, and how right guesses were so far."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.energy.level import Level, record
from argmind.eval.rollout import roll_out
from argmind.nn.position import rotation
from argmind.predictors.base import Predictor
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget
from video.clips import BATCH, CHANNELS, LENGTH, SIDE, TINY, build, clips, seeded


def test_thinking_does_not_feel_the_level() -> None:
    """It adds to energies what the context alone says, the same for every candidate."""
    model = build("ebt")
    assert isinstance(model, EBT)
    problem, _ = model.task(clips())
    y = torch.randn(BATCH, 2, LENGTH, CHANNELS, SIDE, SIDE, generator=seeded(), dtype=torch.double)
    landscape = model.landscape(problem)
    with_level = landscape.slope(y, 0, graph=False)
    body: Any = model.body
    level, body.level = body.level, None
    without = landscape.slope(y, 0, graph=False)
    torch.testing.assert_close(with_level.gradient, without.gradient)
    hidden = model.body.hidden(landscape.state)
    assert isinstance(level, Level)
    assert hidden is not None
    places = body.stream.turn(landscape.state.after, landscape.state.first)
    assert landscape.state.record is not None
    more = level(hidden, places, landscape.state.record)
    assert (more > 0).all()
    torch.testing.assert_close(with_level.energy, without.energy + more[:, None])


def test_a_level_tells_apart_places_that_show_the_same() -> None:
    """Rows alike in all they show: relative positions alone would make their levels alike."""
    level = Level(4, 6).double()
    hidden = torch.zeros(1, 5, 4, dtype=torch.float64)
    levels = level(hidden, rotation(torch.arange(5)[None], 6, 10_000.0, torch.float64))
    assert levels.shape == (1, 5)
    assert levels.unique().numel() == 5


def levels(model: Predictor, problem: dict[str, Tensor]) -> Tensor:
    assert isinstance(model, EBT)
    found = model.body.level_to_learn(model.encode(problem))
    assert found is not None
    return found


def test_a_record_is_of_guesses_that_the_context_has_judged() -> None:
    """Row t knows what became of the guess at t − 1, and the mean of all up to it."""
    losses = torch.tensor([[1.0, 4.0, 4.0], [7.0, 2.0, 6.0]])
    assert record(losses, None)[0].tolist() == [[0, 0], [1, 1], [4, 2.5], [4, 3]]
    padded = record(losses, torch.tensor([0, 1]))
    assert torch.equal(padded[0], record(losses, None)[0])
    assert padded[1].tolist() == [[0, 0], [0, 0], [2, 2], [6, 4]]


def test_what_was_not_judged_leaves_a_record_as_it_was() -> None:
    losses = torch.tensor([[torch.nan, 4.0, torch.nan, torch.nan, 2.0]])
    assert record(losses, None)[0].tolist() == [[0, 0], [0, 0], [4, 4], [4, 4], [4, 4], [2, 3]]
    nothing = record(losses[:, :1].expand(2, 3), torch.tensor([0, 1]))
    assert torch.equal(nothing, torch.zeros(2, 4, 2))


def test_a_frame_that_nobody_saw_judges_no_guess() -> None:
    """Else a roll-out, which sees what it imagined itself, would be ever surer."""
    model = build("ebt")
    problem, _ = model.task(clips())
    plain = model.encode(problem).record
    imagined = torch.arange(LENGTH).expand(BATCH, -1) >= 2
    dreamt = model.encode({**problem, "imagined": imagined}).record
    torch.testing.assert_close(dreamt[:, :2], plain[:, :2])
    torch.testing.assert_close(dreamt[:, 2:], plain[:, 1:2].expand(-1, LENGTH - 2, -1))


def test_a_roll_out_says_which_frames_it_imagined(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = build("ebt", actions=0), list[list[bool]]()
    encode = model.encode

    def watched(problem: Any, last_only: bool) -> Any:
        seen.append(problem["imagined"][0].tolist())
        return encode(problem, last_only=last_only)

    monkeypatch.setattr(model, "encode", watched)
    roll_out(model, clips()["frames"][:, :2], 4, window=3)
    assert seen == [[False] * 2, [False, False, True], [False, True, True], [True] * 3]


def test_losses_of_a_record_are_those_of_first_guesses() -> None:
    model = build("ebt")
    problem, target = model.task(clips())
    first = model.predict(problem, Budget(steps=0))
    want = model.loss(first.output, target)[:, :-1]
    torch.testing.assert_close(model.encode(problem).record[:, 1:, 0], want)


def test_a_level_knows_no_later_frame() -> None:
    model = build("ebt")
    problem, _ = model.task(clips())
    before = levels(model, problem)
    for at in range(1, LENGTH):
        changed = {**problem, "frames": problem["frames"].clone()}
        changed["frames"][:, at] *= 0.5
        moved = (levels(model, changed) - before).abs().amax(0)
        assert (moved[:at] < 1e-12).all()
        assert (moved[at:] > 1e-12).all()


def small_level() -> tuple[Level, Tensor, Any]:
    """One that reads something of everything; hidden states; positions."""
    torch.manual_seed(0)
    hidden = torch.randn(1, 5, 4, dtype=torch.float64)
    turn = rotation(torch.arange(5)[None], 6, 10_000.0, torch.float64)
    return Level(4, 6).double(), hidden, turn


def test_a_level_is_a_multiple_of_the_mean_loss_so_far() -> None:
    """Which one, it reads: with nothing read it is that loss, or a learnt one before any."""
    level, hidden, turn = small_level()
    with torch.no_grad():
        level.outer.weight.zero_()
        level.scale.fill_(0.2)
    past = torch.tensor([[0.0, 0.0], [3.0, 3.0], [1.0, 2.0], [1e-30, 1e-30], [0.5, 40.0]]).double()
    want = torch.tensor([math.exp(2), 3, 2, math.exp(2 - 7), 40], dtype=torch.float64)
    torch.testing.assert_close(level(hidden, turn, past[None])[0], want)
    torch.testing.assert_close(level(hidden, turn)[0], want[:1].expand(5))


def test_a_level_grows_with_the_size_of_losses() -> None:
    """Whatever it reads: measured in other units, all losses are as large as they were."""
    level, hidden, turn = small_level()
    past = torch.rand(1, 5, 2, dtype=torch.float64, generator=seeded())
    past[:, 0] = 0
    before = level(hidden, turn, past)
    with torch.no_grad():
        level.scale.add_(0.3)
    torch.testing.assert_close(level(hidden, turn, past * math.exp(3)), before * math.exp(3))
    assert (level(hidden, turn, past) < 10 * before)[:, 1:].all()  # the start's alone is no news


def test_what_followed_a_surprise_has_a_higher_level() -> None:
    """Of two clips that show the same from then on, to a model that guesses that nothing moves."""
    model: Any = build("ebt")
    with torch.no_grad():
        for weight in (*model.space.guess.outer.parameters(), model.body.level.outer.weight):
            weight.zero_()
    problem, _ = model.task(clips())
    still = problem["frames"][:, :1].expand_as(problem["frames"]).clone()
    still += 0.01 * problem["frames"]
    jumped = still.clone()
    jumped[:, 1] *= -1
    calm, alarmed = (levels(model, {**problem, "frames": one}) for one in (still, jumped))
    torch.testing.assert_close(alarmed[:, 0], calm[:, 0])
    assert (alarmed[:, 1:] > 10 * calm[:, 1:]).all()


def test_a_record_teaches_no_guess() -> None:
    model = build("ebt")
    problem, _ = model.task(clips())
    levels(model, problem).sum().backward()
    learnt = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert learnt
    assert all(name.startswith("body.level.") for name in learnt)


def test_a_model_without_a_level_keeps_no_record() -> None:
    model = build("ebt", level=False)
    problem, _ = model.task(clips())
    assert model.encode(problem).record is None


def test_a_context_with_a_record_is_not_extended_by_a_row() -> None:
    model = build("ebt")
    assert isinstance(model, EBT)
    problem, _ = model.task(clips())
    with pytest.raises(ValueError, match="encode it anew"):
        model.body.extend(model.encode(problem), torch.zeros(BATCH, 1, TINY.hidden_dim))


def test_padding_does_not_move_a_level() -> None:
    """A context counts from its first real row."""
    model = build("ebt")
    assert isinstance(model, EBT)
    problem, _ = model.task(clips())
    rows = model.space.embed_context(problem)
    padded = torch.cat([torch.zeros_like(rows[:, :2]), rows], dim=1)
    first = torch.full((BATCH,), 2)
    after = 2 + torch.arange(LENGTH).expand(BATCH, LENGTH)
    states = model.body.encode(rows), model.body.encode(padded, first, after)
    plain, moved = (
        model.body.level_to_learn(
            model.body.remember(state, lambda hidden: hidden.square().sum(-1))
        )
        for state in states
    )
    assert plain is not None
    torch.testing.assert_close(moved, plain)
