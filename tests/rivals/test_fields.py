"""Objectives that teach an energy its slope: against the fields that they stand for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from argmind.config import part_config
from argmind.errors import UserError
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.objectives._field import FieldObjective
from argmind.objectives.score import DenoisingScore
from argmind.predictors.ebt import EBT
from argmind.spaces.base import Embedding
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig
from rivals.pictures import BATCH, INPUTS, TINY, clean, disturb, seeded

both = pytest.mark.parametrize("name", ["score", "equilibrium"])


def energy_model(
    start: str = "noise", transformer: BidirectionalConfig = TINY, **space: Any
) -> EBT:
    body = part_config("body", "bidirectional", transformer=transformer)
    config = part_config(
        "predictor", "ebt", space=part_config("space", "image", **space), body=body
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        thinking = ThinkingConfig(steps=3, start=start, landscapes=1)  # type: ignore[arg-type]
        model = config.build(thinking, **INPUTS).double()
    disturb(model)
    return model


class Bowl(nn.Module):
    """``E = ½ ‖y − c‖²`` of all of a candidate, whatever the problem; its slope is ``y − c``."""

    def __init__(self, centre: Tensor) -> None:
        super().__init__()
        self.centre = nn.Parameter(centre)

    def energy(self, state: Any, embedding: Embedding, step: int) -> Tensor:  # noqa: ARG002
        gap = embedding.pair - self.centre
        return 0.5 * gap.square().flatten(2).sum(2)


def in_a_bowl(centre: Tensor) -> EBT:
    """An energy model whose candidates fall towards the pixels (C, H, W) of one image."""
    model = energy_model(step_unit="none")
    patches = model.space.embed(centre[None, None]).pair[0, 0].detach()
    bowl = Bowl(patches)
    model.body.energy = bowl.energy  # type: ignore[method-assign]
    model.centre = bowl.centre
    return model


def batch(rows: int = BATCH) -> dict[str, Tensor]:
    return {"clean": clean(rows), "label": torch.zeros(rows, dtype=torch.long)}


def test_a_bowl_around_the_only_image_denoises_perfectly() -> None:
    """``∇E = y − x`` is the noise itself, at any level."""
    model = in_a_bowl(clean(1)[0])
    only = {"clean": clean(1).expand(4, -1, -1, -1), "label": torch.zeros(4, dtype=torch.long)}
    objective = part_config("objective", "score").build(model)
    assert objective(only, seeded()).value < 1e-20


@pytest.mark.parametrize(("lowest", "highest"), [(0.1, 0.1), (0.5, 0.5)])
def test_an_error_of_the_score_is_counted_in_units_of_the_noise(
    lowest: float, highest: float
) -> None:
    model = in_a_bowl(clean(1)[0] + 0.3)
    only = {"clean": clean(1), "label": torch.zeros(1, dtype=torch.long)}
    config = part_config("objective", "score", lowest_std=lowest, highest_std=highest)
    value = config.build(model)(only, seeded()).value
    torch.testing.assert_close(value, torch.tensor((0.3 / lowest) ** 2).double())


def test_levels_are_drawn_evenly_in_their_logarithm() -> None:
    objective = part_config("objective", "score", lowest_std=0.01, highest_std=1.0).build(
        energy_model()
    )
    assert isinstance(objective, DenoisingScore)
    lesson = objective.lesson(clean(3000)[:, None], torch.Size((3000, 1)), seeded())
    shares = lesson.unit.flatten().log10()
    assert torch.histc(shares, 4, min=-2, max=0).min() > 650
    noise = (lesson.place - clean(3000)[:, None]) / lesson.unit
    assert noise.std() == pytest.approx(1, rel=0.01)
    torch.testing.assert_close(lesson.move, noise * lesson.unit)


def test_equilibrium_is_the_published_field() -> None:
    objective = part_config("objective", "equilibrium").build(energy_model())
    assert isinstance(objective, FieldObjective)
    x = clean(2000)[:, None]
    lesson = objective.lesson(x, torch.Size((2000, 1)), seeded())
    # y = γ x + (1 − γ) ε and move = (ε − x) c: so y − x = (1 − γ) (ε − x) = (1 − γ) / c · move.
    ratio = ((lesson.place - x) / lesson.move).flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    # (1 − γ) / c is (1 − γ) / 4 up to γ = 0.8, and 0.2 / 4 after that.
    values = ratio[:, 0]
    assert values.min() == pytest.approx(0.05)
    assert (values < 0.05 + 1e-9).double().mean() == pytest.approx(0.2, abs=0.03)
    assert values.max() == pytest.approx(0.25, rel=0.02)
    assert torch.equal(lesson.unit, torch.ones_like(lesson.unit))


@both
def test_what_is_learnt_is_the_library_own_step(name: str) -> None:
    """The same energy, with steps counted in patches or not: the loss knows which."""
    values = []
    for unit in ("patch", "none"):
        model = energy_model(step_unit=unit)
        values.append(part_config("objective", name).build(model)(batch(), seeded()).value)
        patches = 4
        slope = model.landscape({"label": batch()["label"]}).slope(clean()[:, None], 0, graph=False)
        moved = clean()[:, None] - model.space.move(clean()[:, None], slope.point, slope.gradient)
        torch.testing.assert_close(moved, slope.gradient * (patches if unit == "patch" else 1))
    assert values[0] != values[1]


@both
def test_what_is_known_is_neither_moved_nor_judged(name: str) -> None:
    model = energy_model()
    objective = part_config("objective", name).build(model)
    everything = {**batch(), "given": clean(), "known": torch.ones(BATCH, 1, 8, 8).bool()}
    assert objective(everything, seeded()).value == 0
    half = {**everything, "known": everything["known"].clone()}
    half["known"][..., :4] = False
    assert objective(half, seeded()).value > 0


@both
def test_held_out_data_need_no_graph(name: str) -> None:
    objective = part_config("objective", name).build(energy_model()).eval()
    with torch.no_grad():
        loss = objective.evaluate(batch(), seeded())
    torch.testing.assert_close(loss.value, objective(batch(), seeded()).value.detach())
    assert not loss.value.requires_grad


@both
def test_contrast_prefers_data_to_what_thinking_makes(name: str) -> None:
    model = in_a_bowl(clean(1)[0])
    config = part_config("objective", name, contrast_weight=2.0)
    objective = config.build(model)
    loss = objective(batch(), seeded())
    plain = part_config("objective", name).build(model)(batch(), seeded())
    assert 0 < loss.metrics["contrast"] < 100
    expected = plain.value + 2 * loss.metrics["contrast"]
    torch.testing.assert_close(loss.value, expected)
    problem = {"label": batch()["label"]}
    generator = seeded()
    objective._learn(batch(), source=generator)  # draws first, from the same generator
    made = model.predict(problem, Budget(noisy=True), generator).energy
    right = model.landscape(problem).energy(clean()[:, None], 0)[:, 0]
    torch.testing.assert_close(loss.metrics["contrast"], softplus(right - made).mean())


@both
def test_contrast_costs_a_thought(name: str) -> None:
    model = energy_model()
    plain, contrasted = (
        part_config("objective", name, contrast_weight=weight).build(model).training_flops(batch())
        for weight in (0.0, 1.0)
    )
    assert plain == model.training_flops(BATCH, 4, 1, "none", 1)
    assert contrasted > plain + BATCH * model.prediction_flops(4, Budget())


def test_a_slope_is_learnt() -> None:
    model = energy_model(step_unit="patch")
    only = {"clean": clean(1).expand(16, -1, -1, -1), "label": torch.zeros(16, dtype=torch.long)}
    objective = part_config("objective", "score", lowest_std=0.1).build(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    first = None
    for step in range(60):
        loss = objective(only, seeded(step)).value
        first = float(loss.detach()) if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert first is not None
    assert loss.item() < 0.5 * first


@both
@pytest.mark.parametrize("weight", [-1.0])
def test_bad_settings_are_refused(name: str, weight: float) -> None:
    with pytest.raises(ValueError, match="contrast_weight"):
        part_config("objective", name, contrast_weight=weight)


def test_bad_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="lowest_std"):
        part_config("objective", "score", lowest_std=3.0)
    with pytest.raises(ValueError, match="level_from"):
        part_config("objective", "equilibrium", level_from=1.0)
    with pytest.raises(ValueError, match="steepness"):
        part_config("objective", "equilibrium", steepness=0.0)


@both
def test_tokens_have_no_field(name: str) -> None:
    text = part_config("predictor", "ebt").build(ThinkingConfig(), vocab_size=7)
    with pytest.raises(UserError, match="continuous"):
        part_config("objective", name).build(text)
