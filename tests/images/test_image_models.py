"""The bidirectional body, and image models as a whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget
from images.models import BATCH, batch, ebt, seeded


def given(count: int = BATCH) -> dict[str, Tensor]:
    return {"given": batch(count)["given"]}


def test_steps_may_be_told_apart() -> None:
    shared, told = ebt(), ebt(body={"landscapes": "told"})
    for model, differs in ((shared, False), (told, True)):
        disturbed(model)
        state = model.encode(given())
        seen = model.space.embed(torch.zeros(BATCH, 1, *model.space.feature_shape()).double())
        first, second, later = (model.body.energy(state, seen, step) for step in (0, 1, 7))
        assert torch.equal(first, second) != differs
        assert torch.equal(second, later)


def disturbed(model: EBT, seed: int = 0) -> EBT:
    generator = seeded(seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight += 0.1 * noise.to(weight)
    return model


@pytest.mark.parametrize("head", ["linear", "bilinear", "quadratic"])
def test_the_energy_is_a_mean_over_patches(head: str) -> None:
    """An image of the same patch four times has the energy of the patch, positions aside."""
    model = disturbed(ebt(body={"head": part_config("head", head)}))
    rows = model.space.embed(batch()["given"][:, None])
    state = model.encode(given())
    whole = model.body.energy(state, rows, 0)
    twice = rows._replace(
        input=torch.cat([rows.input, rows.input], 2), pair=torch.cat([rows.pair, rows.pair], 2)
    )
    torch.testing.assert_close(model.body.energy(state, twice, 0), whole)


def test_a_quadratic_energy_is_never_negative() -> None:
    said = disturbed(ebt()).predict(given(), Budget(steps=3, trace=True))
    assert said.trace is not None
    assert all((energy >= 0).all() for energy in said.trace.energies)


def test_problems_that_settle_are_left_out_and_nothing_changes() -> None:
    model = disturbed(ebt())
    problem = given(4)
    problem["given"][2] *= 3
    every = model.predict(problem, Budget(steps=6, trace=True))
    assert every.trace is not None
    falls = (every.trace.energies[0] - every.trace.energies[1]).abs()
    stop = part_config("stop", "plateau", tolerance=float(falls.median()))
    budget = Budget(steps=6, stop=stop)
    together = model.predict(problem, budget)
    assert len(together.steps.unique()) > 1
    for row in range(4):
        alone = model.predict({"given": problem["given"][row : row + 1]}, budget)
        torch.testing.assert_close(alone.output[0], together.output[row])
        assert alone.nfe[0] == together.nfe[row]


def test_self_verification_keeps_the_least_energy() -> None:
    model = disturbed(ebt(thinking={"start": "noise"}))
    budget = Budget(steps=2, candidates=5)
    chosen = model.predict(given(), budget, seeded())
    landscape = model.landscape(given())
    starts = model.thinker.start(landscape, 5, seeded())
    energies = model.thinker.think(landscape, budget, start=starts).energy
    assert energies is not None
    torch.testing.assert_close(chosen.energy, energies.min(1).values)
    assert (chosen.nfe == 10).all()


OBJECTIVES = [
    ("thinking", {"loss_on": "all"}),
    ("thinking", {"loss_on": "last", "fewest_steps": 1, "noisy_starts": 0.5}),
    ("s1", {}),
    ("s2", {"replay_samples": 8}),
]


@pytest.mark.parametrize(("name", "options"), OBJECTIVES, ids=str)
def test_denoising_is_learnt_in_a_few_steps(name: str, options: dict[str, Any]) -> None:
    """Noise is thought away, and the second step improves on the first."""
    model = ebt(thinking={"start_noise_std": 0.1})
    objective = part_config("objective", name, **options).build(model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(80):
        seen = {key: batch(16, seed=step)[key] for key in ("clean", "given")}
        optimizer.zero_grad()
        objective(seen, seeded(step)).value.backward()
        optimizer.step()
    test = {key: batch(32, seed=1000)[key] for key in ("clean", "given")}
    metrics = objective.eval().evaluate(test, seeded()).metrics
    assert metrics["psnr"] > metrics["psnr_step_0"] + 3
    assert metrics["psnr_step_2"] > metrics["psnr_step_1"] - 0.3


@pytest.mark.parametrize("known", [False, True])
def test_inpainting_is_learnt(known: bool) -> None:
    """Pixels that are hidden are found from those that are not."""
    model = ebt({"context": "given"}, thinking={"start": "zeros"})
    objective = part_config("objective", "thinking", loss_on="all").build(model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def problems(count: int, seed: int) -> dict[str, Tensor]:
        made = batch(count, seed=seed, noise=0.0)
        masked = {"clean": made["clean"], "given": made["clean"] * made["known"]}
        return {**masked, "known": made["known"]} if known else masked

    for step in range(80):
        optimizer.zero_grad()
        objective(problems(16, step), seeded()).value.backward()
        optimizer.step()
    test = problems(32, 1000)
    problem, target = model.task(test)
    said = model.predict(problem)
    hidden = ~batch(32, seed=1000, noise=0.0)["known"].expand_as(target)
    assert (said.output - target)[hidden].abs().mean() < 0.3
    if known:
        assert torch.equal(said.output[~hidden], target[~hidden])
