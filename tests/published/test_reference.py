"""The restatement itself: who sees whom, and that its second derivatives are real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from . import make_checkpoint, reference
from .reference import EBT_TYPES, Config

B, S, V = 2, 3, make_checkpoint.VOCABULARY


class Case:
    """Weights that require gradients, a batch, a start, noise and step sizes, from one seed."""

    def __init__(self, flags: dict[str, Any], steps: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.config = reference.read_config(flags)
        self.weights = make_checkpoint.random_weights(flags, seed)
        for weight in self.weights.values():
            weight.requires_grad_()
        self.tokens = torch.randint(1, V, (B, S + 1), generator=generator)
        self.tokens[1, -1] = self.config.pad

        def normal() -> Tensor:
            return torch.randn(B, S, V, generator=generator, dtype=torch.float64)

        self.start = normal()
        self.noise = [normal() for _ in range(steps)]
        self.uniform = torch.rand(B, S, generator=generator, dtype=torch.float64)


def gradients(loss: Tensor, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name: torch.zeros_like(weight) if gradient is None else gradient
        for (name, weight), gradient in zip(weights.items(), found, strict=True)
    }


def assert_is_derivative(
    function: Callable[[dict[str, Tensor]], Tensor],
    weights: dict[str, Tensor],
    expected: dict[str, Tensor],
) -> None:
    """Central differences along one random direction for each weight agree with ``expected``."""
    generator = torch.Generator().manual_seed(1)
    fixed = {name: weight.detach() for name, weight in weights.items()}
    for name, gradient in expected.items():
        direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        sides = [
            function({**fixed, name: fixed[name] + sign * 1e-5 * direction}).item()
            for sign in (1, -1)
        ]
        slope = (sides[0] - sides[1]) / 2e-5
        assert slope == pytest.approx((gradient * direction).sum().item(), rel=2e-5, abs=1e-8), name


@pytest.mark.parametrize("ebt_type", EBT_TYPES)
def test_energy_sees_its_own_candidate_and_the_tokens_up_to_it(ebt_type: str) -> None:
    case = Case(make_checkpoint.s1_flags(ebt_type), steps=2)
    context, points = case.tokens[:, :-1], torch.softmax(case.start, dim=-1)
    before = reference.energies(case.weights, case.config, context, points, 1)
    for j in range(S):
        other_points = points.clone()
        other_points[0, j] = torch.softmax(case.noise[0][0, j], dim=-1)
        changed = reference.energies(case.weights, case.config, context, other_points, 1) != before
        expected = torch.zeros(B, S, dtype=torch.bool)
        expected[0, j] = True
        assert torch.equal(changed, expected)

        other_context = context.clone()
        other_context[0, j] = context[0, j] % (V - 1) + 1
        changed = reference.energies(case.weights, case.config, other_context, points, 1) != before
        expected[0, j:] = True
        assert torch.equal(changed, expected)


@pytest.mark.parametrize("ebt_type", EBT_TYPES)
def test_the_landscape_matters_except_for_the_default_type(ebt_type: str) -> None:
    case = Case(make_checkpoint.s1_flags(ebt_type), steps=2)
    context, points = case.tokens[:, :-1], torch.softmax(case.start, dim=-1)
    first, second = (
        reference.energies(case.weights, case.config, context, points, k) for k in (0, 1)
    )
    assert torch.equal(first, second) == (ebt_type == "default")


def test_adaln_that_modulates_nothing_is_the_default_model() -> None:
    case = Case(make_checkpoint.s1_flags("adaln_zero"), steps=2)
    weights = {name: weight.detach().clone() for name, weight in case.weights.items()}
    for name, weight in weights.items():
        if name.endswith("adaLN_modulation.1.weight"):
            weight.zero_()
        elif name.endswith("adaLN_modulation.1.bias"):
            parts = weight.zero_().view(-1, make_checkpoint.WIDTH)
            if len(parts) == 6:  # gates of attention and feed-forward open, the rest untouched
                parts[2] = parts[5] = 1.0
    weights["transformer.final_layer.weight"] = weights["transformer.final_layer.linear.weight"]
    context, points = case.tokens[:, :-1], torch.softmax(case.start, dim=-1)
    plain = replace(case.config, ebt_type="default")
    assert torch.equal(
        reference.energies(weights, case.config, context, points, 1),
        reference.energies(weights, plain, context, points, 1),
    )


@pytest.mark.parametrize("ebt_type", EBT_TYPES)
def test_s1_gradient_is_the_derivative_with_detached_candidates_held_still(ebt_type: str) -> None:
    case = Case(make_checkpoint.s1_flags(ebt_type), steps=2)
    context, targets = case.tokens[:, :-1], case.tokens[:, 1:]
    thought = reference.think(case.weights, case.config, context, case.start)
    held = [case.start, *(candidate.detach() for candidate in thought.candidates[:-1])]

    def loss_with_held_candidates(weights: dict[str, Tensor]) -> Tensor:
        moved = [
            reference.think(weights, case.config, context, held[k], landscapes=[k]).candidates[0]
            for k in (0, 1)
        ]
        losses = [reference.cross_entropy(y, targets, case.config.pad) for y in moved]
        return (losses[0] + losses[1]) / 2

    loss = reference.loss_s1(case.weights, case.config, case.tokens, case.start)
    assert loss.item() == pytest.approx(loss_with_held_candidates(case.weights).item(), rel=1e-12)
    expected = gradients(loss, case.weights)
    unmoved = {name for name, gradient in expected.items() if not gradient.any()}
    assert unmoved == {"langevin_dynamics_noise_std"}
    assert_is_derivative(loss_with_held_candidates, case.weights, expected)


@pytest.mark.parametrize("loss", [reference.loss_s1, reference.loss_s2])
def test_gradient_through_all_steps_is_the_full_derivative(loss: Callable[..., Tensor]) -> None:
    flags = make_checkpoint.s2_flags("time_embed", truncate_mcmc=False, langevin_dynamics_noise=0.5)
    case = Case(flags, steps=2)

    def full(weights: dict[str, Tensor]) -> Tensor:
        sizes = reference.random_step_size(weights, 2.0, case.uniform)
        return loss(weights, case.config, case.tokens, case.start, case.noise, sizes, [0, 0])

    expected = gradients(full(case.weights), case.weights)
    assert all(gradient.any() for gradient in expected.values())
    assert_is_derivative(full, case.weights, expected)


def test_s2_keeps_the_graph_of_the_last_step_only() -> None:
    flags = make_checkpoint.s2_flags("time_embed", langevin_dynamics_noise=0.5)
    case = Case(flags, steps=3)
    arguments = (case.tokens, case.start, case.noise, None, [0, 0, 0])
    found = gradients(reference.loss_s2(case.weights, case.config, *arguments), case.weights)

    config, context, targets = case.config, case.tokens[:, :-1], case.tokens[:, 1:]
    thought = reference.think(case.weights, config, context, *arguments[1:])
    held = [gradient.detach() for gradient in thought.gradients]

    def loss_with_held_gradients(weights: dict[str, Tensor]) -> Tensor:
        candidate, std = case.start, weights["langevin_dynamics_noise_std"]
        for k in (0, 1):
            point = torch.softmax(candidate + case.noise[k] * std, dim=-1)
            candidate = point - weights["alpha"] * held[k]
        last = reference.think(weights, config, context, candidate, case.noise[2:], None, [0])
        return reference.cross_entropy(last.candidates[0], targets, config.pad)

    assert_is_derivative(loss_with_held_gradients, case.weights, found)


def test_with_fixed_step_size_and_noise_the_s2_candidates_may_as_well_be_detached() -> None:
    case = Case(make_checkpoint.s2_flags("time_embed"), steps=3)
    for name in ("alpha", "langevin_dynamics_noise_std"):
        case.weights[name].requires_grad_(False)
    learned = {name: weight for name, weight in case.weights.items() if weight.requires_grad}
    sizes = reference.random_step_size(case.weights, 2.0, case.uniform)
    kept, cut = (
        gradients(
            reference.loss_s2(
                case.weights,
                replace(case.config, detach=detach),
                *(case.tokens, case.start, case.noise, sizes, [0, 0, 0]),
            ),
            learned,
        )
        for detach in (False, True)
    )
    for name, gradient in kept.items():
        torch.testing.assert_close(cut[name], gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("mode", ["s1", "s2"])
def test_detaching_the_inner_gradient_changes_the_gradient_but_not_the_loss(mode: str) -> None:
    case = Case(getattr(make_checkpoint, f"{mode}_flags")("time_embed"), steps=2)
    loss = getattr(reference, f"loss_{mode}")
    schedule = reference.evaluation_landscapes(case.config)[:2]

    def run(config: Config) -> Tensor:
        return loss(case.weights, config, case.tokens, case.start, case.noise, None, schedule)

    right, mutated = run(case.config), run(replace(case.config, graph="none"))
    assert torch.equal(right, mutated)
    found = gradients(right, case.weights)
    broken = gradients(mutated, case.weights)
    name = "transformer.layers.0.attention.wq.weight"
    assert found[name].abs().max() > 1e-6
    assert not broken[name].any()


def test_a_step_lowers_each_energy_when_it_is_small() -> None:
    case = Case(make_checkpoint.s1_flags("default"), steps=2)
    sizes = torch.full((B, S), 1e-3, dtype=torch.float64)
    config = replace(case.config, softmax="first")
    thought = reference.think(
        case.weights, config, case.tokens[:, :-1], case.start, None, sizes, [0, 1, 1]
    )
    assert bool((thought.energies[1] < thought.energies[0]).all())
    assert bool((thought.energies[2] < thought.energies[1]).all())
    assert torch.equal(thought.points[1], thought.candidates[0])


def test_step_sizes_are_per_position_and_clamped() -> None:
    case = Case(make_checkpoint.s1_flags("default"), steps=2)
    context = case.tokens[:, :-1]
    sizes = torch.zeros(B, S, dtype=torch.float64)
    sizes[1, 2] = 3.0
    one = reference.think(case.weights, case.config, context, case.start, None, sizes, [0])
    moved = (one.candidates[0] != one.points[0]).any(-1)
    assert torch.equal(moved, sizes > 0)

    weights = {**case.weights, "alpha": torch.tensor(-1.0, dtype=torch.float64)}
    assert reference.step_size(weights).item() == 1e-4
    low_high = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert reference.random_step_size(case.weights, 2.0, low_high).tolist() == [[1.0, 4.0]]


def test_padding_targets_are_ignored_and_smoothing_is_pytorchs() -> None:
    case = Case(make_checkpoint.s1_flags("default"), steps=2)
    targets = case.tokens[:, 1:]
    for smoothing in (0.0, 0.3):
        expected = torch.nn.functional.cross_entropy(
            case.start.reshape(-1, V),
            targets.reshape(-1),
            ignore_index=0,
            label_smoothing=smoothing,
        )
        found = reference.cross_entropy(case.start, targets, 0, smoothing)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    assert int((targets == 0).sum()) == 1


def test_evaluation_takes_the_most_steps_on_the_last_landscape() -> None:
    s1 = reference.read_config(make_checkpoint.s1_flags())
    s2 = reference.read_config(make_checkpoint.s2_flags())
    assert reference.evaluation_landscapes(s1) == [0, 1]
    assert reference.evaluation_landscapes(s2) == [0, 0, 0]
    assert reference.evaluation_landscapes(replace(s2, landscapes=3)) == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("ebt_type", EBT_TYPES)
def test_checkpoint_holds_the_public_layout(tmp_path: Path, ebt_type: str) -> None:
    flags = make_checkpoint.s1_flags(ebt_type)
    weights = make_checkpoint.write_checkpoint(tmp_path / "tiny.ckpt", flags, seed=3)
    stored = torch.load(tmp_path / "tiny.ckpt", weights_only=True)
    assert stored["hyper_parameters"] == flags
    assert stored["state_dict"].keys() == {f"model.{name}" for name in weights}
    for name, weight in weights.items():
        assert torch.equal(stored["state_dict"][f"model.{name}"], weight)
