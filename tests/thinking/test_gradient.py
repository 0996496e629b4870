"""The inner gradient, and learning from detached steps one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.objectives.known import Gradients
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.randomness import Draws, Repeated, Tape, Unfilled, normal, uniform
from argmind.thinking.gradient import energy_gradient
from argmind.thinking.tensors import tensors_in, with_tensors
from argmind.train.memory import LiveBytes
from thinking.test_models import VOCABULARY, model


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tokens(count: int = 4, length: int = 6) -> dict[str, Tensor]:
    return {"tokens": torch.randint(0, VOCABULARY, (count, length), generator=seeded(1))}


# ---------------------------------------------------------------------- the inner gradient


def test_both_forms_of_the_gradient_agree() -> None:
    weight = torch.randn(3, 3, generator=seeded(), dtype=torch.float64)
    point = torch.randn(2, 3, generator=seeded(4), dtype=torch.float64)

    def energies(y: Tensor) -> Tensor:
        return (torch.tanh(y @ weight) * y).sum(-1)

    for plain, kept in zip(
        energy_gradient(energies, point, graph=False),
        energy_gradient(energies, point, graph=True),
        strict=True,
    ):
        assert torch.equal(plain, kept)


@pytest.mark.parametrize("cached", [False, True])
def test_autocast_keeps_no_weight_cast_inside_the_gradient(cached: bool) -> None:
    """A low-precision copy made inside would be used again outside, and pass on no gradient."""
    linear = torch.nn.Linear(8, 8, bias=False)
    torch.nn.init.normal_(linear.weight, generator=seeded())
    y = torch.randn(4, 8, generator=seeded(4))

    def gradient_of_two_steps() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=cached):
            total = torch.zeros(())
            for step in range(2):
                found, _ = energy_gradient(
                    lambda at: torch.tanh(linear(at)).float().sum(-1), y + step, graph=True
                )
                total = total + found.square().sum()
        return torch.autograd.grad(total, linear.weight)[0]

    found = gradient_of_two_steps()
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        parts = []
        for step in range(2):
            at = (y + step).requires_grad_()
            (slope,) = torch.autograd.grad(
                torch.tanh(linear(at)).float().sum(), at, create_graph=True
            )
            parts.append(slope.square().sum())
    (truth,) = torch.autograd.grad(sum(parts), linear.weight)  # type: ignore[arg-type]
    torch.testing.assert_close(found, truth)


# ---------------------------------------------------------------------- known gradients


def test_known_gradients_are_those_of_the_sum_and_freed_once_used() -> None:
    a, b, unused = (torch.randn(3, generator=seeded(k), requires_grad=True) for k in range(3))
    losses = ((a * b).square().sum(), (a - b).exp().sum())
    truth = torch.autograd.grad(3 * sum(losses), (a, b), retain_graph=True)  # type: ignore[arg-type]
    gradients = Gradients([a, b, unused])
    for loss in losses:
        gradients.add(loss)
    value = gradients.attached([a, b, unused])
    torch.testing.assert_close(value, sum(losses))
    found = torch.autograd.grad(3 * value, (a, b, unused), allow_unused=True, retain_graph=True)
    torch.testing.assert_close(found[:2], truth)
    assert found[2] is None
    with pytest.raises(RuntimeError, match="used up"):
        torch.autograd.grad(value, a)


def test_no_loss_has_no_gradients() -> None:
    with pytest.raises(ValueError, match="no loss"):
        Gradients([]).attached([])


# ---------------------------------------------------------------------- steps one by one


def objective(ebt: EBT | None = None, **options: Any) -> ThinkingObjective:
    return part_config("objective", "s1", **options).build(ebt or model(steps=3)).train()


def in_one_graph(it: ThinkingObjective, batch: dict[str, Tensor]) -> Tensor:
    """The same loss with the graphs of all steps alive at once."""
    ebt, config, generator = it.predictor, it.config, seeded()
    problem, target = ebt.task(batch)
    landscape = ebt.landscape(problem)
    start = ebt.thinker.start(landscape, 1, generator)
    thought = ebt.thinker.train_think(landscape, start, 3, "none", generator)
    judged = thought.candidates[1:] if config.loss_on == "all" else thought.candidates[-1:]
    return torch.stack([ebt.space.loss(y, target).mean() for y in judged]).mean()


@pytest.mark.parametrize("loss_on", ["all", "last"])
@pytest.mark.parametrize("conditioning", ["candidate", "time_embed", "adaln"])
@pytest.mark.parametrize("rule", ["gradient", "momentum", "langevin"])
def test_step_by_step_gives_the_gradient_of_all_steps(
    conditioning: str, loss_on: str, rule: str
) -> None:
    schedule = part_config("schedule", "randomised", base=part_config("schedule", "learned"))
    ebt = model("dual", conditioning, steps=3, rule=part_config("rule", rule), schedule=schedule)
    it = objective(ebt, loss_on=loss_on)
    weights = dict(ebt.named_parameters())
    value, truth = it(tokens(), seeded()).value, in_one_graph(it, tokens())
    torch.testing.assert_close(value, truth)
    found, expected = (
        torch.autograd.grad(x, list(weights.values()), allow_unused=True, materialize_grads=True)
        for x in (value, truth)
    )
    for name, one, other in zip(weights, found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12, msg=name)


def test_without_gradients_the_loss_is_the_same() -> None:
    it = objective()
    with torch.no_grad():
        value = it(tokens(), seeded()).value
    assert not value.requires_grad
    torch.testing.assert_close(value, it(tokens(), seeded()).value.detach())


def peak_bytes(steps: int, **options: Any) -> int:
    it = objective(model(steps=steps, landscapes=1), **options)
    with LiveBytes() as live:
        it(tokens(16, 17), seeded()).value.backward()
    return live.peak


@pytest.mark.parametrize("loss_on", ["all", "last"])
def test_memory_does_not_grow_with_detached_steps(loss_on: str) -> None:
    assert peak_bytes(6, loss_on=loss_on) < 1.1 * peak_bytes(2, loss_on=loss_on)
    assert peak_bytes(6, loss_on=loss_on, through="all") > 2 * peak_bytes(
        2, loss_on=loss_on, through="all"
    )


def test_the_context_is_encoded_once_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for conditioning, passes in (("candidate", 1), ("time_embed", 3)):
        it = objective(model("dual", conditioning, steps=3))
        stream = it.predictor.body.stream  # type: ignore[union-attr]
        seen: list[int] = []
        whole = stream._begin  # type: ignore[union-attr]

        def begin(state: Any, landscape: int, seen: Any = seen, whole: Any = whole) -> Any:
            seen.append(landscape)
            assert torch._C._functorch.maybe_current_level() is None  # in no transform
            return whole(state, landscape)

        monkeypatch.setattr(stream, "_begin", begin)
        it(tokens(), seeded())
        assert seen == list(range(passes))


# ---------------------------------------------------------------------- draws and tensors


def test_draws_can_be_taped_given_again_and_repeated() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    tape = Tape(seeded())
    first, second = normal((4, 2), like, tape), uniform((4,), like, tape)
    again = seeded()
    assert torch.equal(first, normal((4, 2), like, again))
    assert torch.equal(second, uniform((4,), like, again))
    draws = Draws(tape.tensors)
    assert normal((4, 2), like, draws) is first
    assert uniform((4,), like, draws) is second
    repeated = normal((4, 2), like, Repeated(seeded(), 2))
    assert torch.equal(repeated[:2], repeated[2:])
    assert torch.equal(repeated[:2], normal((2, 2), like, seeded()))
    assert normal((4, 2), like, Unfilled()).shape == (4, 2)


def test_tensors_are_found_in_states_and_replaced() -> None:
    ebt = model()
    state = ebt.encode(tokens()["tokens"])
    ebt.body.ready(state, 0)
    found = list(tensors_in(state))
    assert len(found) > 4
    changed = with_tensors(state, lambda x: x + 1)
    assert type(changed) is type(state)
    for before, after in zip(found, tensors_in(changed), strict=True):
        assert torch.equal(before + 1, after)
