"""Rules, schedules and objectives of EBT-Policy, against its formulas, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import override, part_config
from argmind.errors import UserError
from argmind.objectives.nearest import Nearest
from argmind.randomness import normal
from argmind.recipes.base import find_recipe
from argmind.spaces.base import Space
from argmind.thinking.budget import Budget

from .chunks import CHUNK, demonstrations, generator, policy

PUBLISHED = part_config(
    "rule",
    "langevin",
    noise_std=0.2,
    last_noise_std=0.002,
    anneal_steps=5,
    base=part_config(
        "rule",
        "energy_scaled",
        temperature=9.0,
        base=part_config("rule", "momentum", momentum=0.9, nesterov=True),
    ),
)


def test_a_thought_is_the_published_one() -> None:
    """Normalise, noise, look ahead, differentiate, scale by exp(E) / T, move by the velocity."""
    size, steps = 40.0, 5
    schedule = part_config("schedule", "constant", size=size)
    model = policy(rule=PUBLISHED, schedule=schedule, steps=steps).double()
    problem, _ = model.task(demonstrations(3, generator()))
    state = model.encode(problem)
    start = torch.randn(3, 1, CHUNK, 2, generator=generator(1), dtype=torch.float64)
    noise = generator(2)
    got = model.thinker.train_think(model.landscape(problem), start, steps, "none", generator(2))

    a, v = start, torch.zeros_like(start)
    for i in range(steps):
        a = a / a.square().mean((-2, -1), keepdim=True).sqrt()
        sigma = 0.002 + 0.5 * (0.2 - 0.002) * (1 + math.cos(math.pi * i / steps))
        a = a + sigma * normal(a.shape, a, noise)
        ahead = (a + 0.9 * v).detach().requires_grad_()
        energy = model.body.energy(state, model.space.embed(ahead), i)
        (g,) = torch.autograd.grad(energy.sum(), ahead)
        alpha = size * energy.exp()[..., None, None] / 9
        v = (0.9 * v - alpha * g).detach()
        a = (a + v).detach()
        torch.testing.assert_close(got.candidates[i + 1], a, rtol=1e-4, atol=1e-6)


def test_inference_is_free_of_noise() -> None:
    model = policy(rule=PUBLISHED)
    problem, _ = model.task(demonstrations(3, generator()))
    start = torch.randn(3, 1, CHUNK, 2, generator=generator(1))
    thoughts = [
        model.thinker.think(model.landscape(problem), Budget(steps=3), generator(seed), start)
        for seed in (0, 1)
    ]
    assert torch.equal(thoughts[0].candidate, thoughts[1].candidate)


def test_energy_scales_steps_inside_of_the_graph() -> None:
    rule = part_config("rule", "energy_scaled", temperature=2.0).build()
    gradient = torch.ones(2, 1, 3)
    energy = torch.tensor([[0.5], [-1.0]], requires_grad=True)
    delta, memory = rule.delta(gradient, energy, 4.0, None)
    assert memory is None
    torch.testing.assert_close(delta, (2 * energy.exp())[..., None].expand(2, 1, 3))
    (slope,) = torch.autograd.grad(delta.sum(), energy)
    torch.testing.assert_close(slope, 3 * 2 * energy.detach().exp())


@pytest.mark.parametrize("energy", [-1e9, 1e9])
def test_energy_without_bounds_leaves_steps_within_theirs(energy: float) -> None:
    rule = part_config("rule", "energy_scaled", bound=2.0).build()
    delta, _ = rule.delta(torch.ones(1, 1, 3), torch.full((1, 1), energy), 1.0, None)
    torch.testing.assert_close(delta.log().abs(), torch.full((1, 1, 3), 2.0))


def test_noise_falls_along_half_a_cosine_and_stays() -> None:
    rule = part_config(
        "rule", "langevin", noise_std=0.2, last_noise_std=0.002, anneal_steps=4
    ).build()
    stds = [rule.noise_std(step) for step in range(7)]
    assert stds[0] == pytest.approx(0.2)
    assert stds[2] == pytest.approx(0.101)
    assert stds[4:] == pytest.approx([0.002] * 3)
    assert stds == sorted(stds, reverse=True)
    of_tensors = [float(rule.noise_std(torch.tensor(step))) for step in range(7)]
    assert of_tensors == pytest.approx(stds)
    y = torch.zeros(2, 1, 50_000)
    for step in (0, 6):
        drawn = rule.before(Space(), y, None, step, True, generator())
        assert drawn.std() == pytest.approx(stds[step], rel=0.05)


def test_the_wrapped_rule_looks_ahead_after_the_noise() -> None:
    plain = part_config("rule", "momentum", nesterov=True)
    rule = part_config("rule", "langevin", noise_std=0.5, base=plain).build()
    y, memory = torch.randn(1, 1, 4), torch.randn(1, 1, 4)
    got = rule.before(Space(), y, memory, 0, True, generator(3))
    noise = normal(y.shape, y, generator(3))
    torch.testing.assert_close(got, y + 0.5 * noise - 0.9 * memory)


@pytest.mark.parametrize(
    ("name", "options", "wrong"),
    [
        ("energy_scaled", {"temperature": 0.0}, "temperature must be positive"),
        ("energy_scaled", {"bound": -1.0}, "bound must be positive"),
        ("langevin", {"last_noise_std": -1.0}, "last_noise_std may not be negative"),
        ("langevin", {"anneal_steps": 0}, "anneal_steps must be at least 1"),
    ],
)
def test_rules_refuse_what_makes_no_sense(name: str, options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        part_config("rule", name, **options)


# ---------------------------------------------------------------------- choosing among starts


def nearest(model: Any, **options: Any) -> Nearest:
    return part_config("objective", "nearest", **options).build(model)


def test_the_start_whose_thought_ends_nearest_is_taught() -> None:
    model = policy(steps=2)
    batch = demonstrations(5, generator())
    objective = nearest(model, starts=6, scout_steps=2)
    opening = objective._opening(  # pyright: ignore[reportPrivateUsage]
        batch, None, 2, generator(4)
    )
    assert opening.start.shape == (5, 1, CHUNK, 2)
    assert torch.equal(opening.start, opening.offered)

    drawing = generator(4)  # the start that choosing replaces, then all of them
    problem, target = model.task(batch)
    model.thinker.start(model.landscape(problem), 1, drawing)
    starts = model.thinker.start(model.landscape(problem), 6, drawing)
    ends = model.thinker.think(model.landscape(problem), Budget(steps=2), start=starts)
    losses = model.space.loss(ends.candidate, target)
    for row, best in enumerate(losses.argmin(1).tolist()):
        assert torch.equal(opening.start[row, 0], starts[row, best])
    assert len(losses.argmin(1).unique()) > 1


def test_objectives_refuse_what_does_not_go_with_choosing() -> None:
    for options, wrong in (
        ({"starts": 1}, "starts must be at least 2"),
        ({"scout_steps": 0}, "scout_steps must be at least 1"),
        ({"replay_samples": 8}, "replay_samples would replace the start"),
        ({"noisy_starts": 0.5}, "noisy_starts would replace the start"),
    ):
        with pytest.raises(ValueError, match=wrong):
            part_config("objective", "nearest", **options)
    text = find_recipe("text_ebt").predictor.build(find_recipe("text_ebt").thinking, vocab_size=5)
    with pytest.raises(UserError, match="keeps right answers apart"):
        nearest(text)


# ---------------------------------------------------------------------- recipes


@pytest.mark.parametrize("environment", ["point", "pusht", "metaworld", "pointmaze"])
def test_recipes_say_how(environment: str) -> None:
    ours = find_recipe(f"policy_{environment}_ebt")
    published = find_recipe(f"policy_{environment}_ebt_published")
    assert ours.name == f"policy_{environment}_ebt"
    assert isinstance(ours.objective, Nearest.Config)
    assert ours.predictor == published.predictor
    for recipe in (ours, published):
        assert recipe.thinking.start == "noise"
        assert recipe.optimizer.weight_decay == 1e-6
        assert recipe.optimizer.clip_norm == 1.0
        assert recipe.training.ema_power == 0.75
        assert override(recipe, ["thinking.schedule.base.size=7"]) != recipe
    samples = [one.training.batch_size * one.training.steps for one in (ours, published)]
    assert samples[0] == samples[1]
    assert published.training.batch_size == 64
    assert (published.thinking.steps, published.optimizer.warmup_steps) == (10, 500)


# ---------------------------------------------------------------------- it learns


def coins(count: int, source: torch.Generator) -> dict[str, Tensor]:
    """Chunks of all +1 or all −1, whatever is observed."""
    state = torch.randn(count, 2, 3, generator=source)
    sign = 2.0 * torch.randint(0, 2, (count, 1, 1), generator=source) - 1
    return {"state": state, "actions": sign.expand(count, CHUNK, 2)}


def learnt(objective: str, steps: int, **options: Any) -> Any:
    """A policy after so many batches of coins."""
    model = policy(steps=2, schedule=part_config("schedule", "constant", size=30.0))
    teacher = part_config("objective", objective, through="none", loss_on="all", **options)
    teacher = teacher.build(model)
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(weights, lr=1e-2, betas=(0.9, 0.95), weight_decay=1e-6)
    source = generator()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * min(1, (step + 1) / 10, 2 * (1 - step / steps))
        value = teacher(coins(32, source), source).value
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return model


def sides(model: Any, steps: int) -> Tensor:
    """The mean action of each of 128 chunks, and how far its actions are from that."""
    problem, _ = model.task(coins(128, generator(9)))
    output = model.predict(problem, Budget(steps=steps), generator(10)).output
    return output.mean((1, 2))


def test_from_blind_starts_a_task_loss_learns_the_mean() -> None:
    """As regression does: what has been drawn says nothing of what is right."""
    found = sides(learnt("thinking", 100), 2)
    assert found.abs().mean() < 0.3


def test_starts_that_were_chosen_come_to_stand_for_one_answer_each() -> None:
    found = sides(learnt("nearest", 100, starts=8, scout_steps=2), 2)
    assert found.abs().mean() > 0.8
    assert 0.25 < (found > 0).float().mean() < 0.75
