"""The parts of the thinking objective that are about the energy itself, and about rough starts."""

import pytest
import torch
from torch.nn import functional as F

from argmind.config import part_config
from argmind.nn.transformer import TransformerConfig
from argmind.objectives.lesson import Found, perturbed
from argmind.thinking.thinker import ThinkingConfig


def objective(**options):
    """A tiny energy model of 7 tokens in float64, with an objective around it."""
    dims = TransformerConfig(num_layers=1, num_heads=1, hidden_dim=8)
    body = part_config("body", "two_stream", transformer=dims)
    thinking = ThinkingConfig(steps=2, start_noise_std=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = part_config("predictor", "ebt", body=body).build(thinking, vocab_size=7).double()
    return part_config("objective", "thinking", **options).build(model)


def batch():
    tokens = torch.randint(0, 7, (3, 6), generator=torch.Generator().manual_seed(1))
    return {"tokens": tokens}


def generator():
    return torch.Generator().manual_seed(2)


def test_the_energy_term_is_the_huber_error_of_foretelling():
    plain, told = objective(), objective(energy_weight=0.7)
    model = told.predictor
    context, target = model.task(batch())
    landscape = model.landscape(context)
    start = model.thinker.start(landscape, 1, generator())
    thought = model.thinker.train_think(landscape, start, 2, "all", generator())
    errors = [
        F.smooth_l1_loss(energy, model.space.loss(y, target))
        for energy, y in zip(thought.energies, thought.candidates, strict=False)
    ]
    expected = sum(errors) / 2
    difference = told(batch(), generator()).value - plain(batch(), generator()).value
    assert difference.item() == pytest.approx(0.7 * expected.item(), rel=1e-9)


def test_the_loss_is_a_constant_of_the_term():
    """The term teaches the energy; it must not make losses look like energies."""
    told = objective(energy_weight=1.0)
    space = told.predictor.space
    term = told(batch(), generator()).value - objective()(batch(), generator()).value.detach()
    plain = told(batch(), generator())
    context, target = told.predictor.task(batch())
    landscape = told.predictor.landscape(context)
    start = told.predictor.thinker.start(landscape, 1, generator())
    thought = told.predictor.thinker.train_think(landscape, start, 2, "all", generator())
    errors = [
        F.smooth_l1_loss(energy, space.loss(y, target).detach())
        for energy, y in zip(thought.energies, thought.candidates, strict=False)
    ]
    by_hand = space.loss(thought.candidate, target).mean() + sum(errors) / 2
    weight = space.embedding.weight
    ours, expected = (torch.autograd.grad(x, weight)[0] for x in (plain.value, by_hand))
    assert term.item() > 0
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_noisy_starts_move_their_share_of_starts(share):
    start = torch.zeros(2, 1, 400, 8, dtype=torch.float64)
    moved = (perturbed(start, share, 0.5, 1, generator()) != 0).any(-1).double().mean()
    assert moved.item() == share


def test_a_share_of_starts_is_moved_by_the_start_noise():
    start = torch.zeros(4, 1, 1000, 8, dtype=torch.float64)
    made = perturbed(start, 0.25, 0.5, 1, generator())
    moved = (made != 0).any(-1)
    assert moved.double().mean().item() == pytest.approx(0.25, abs=0.03)
    assert made[moved].std().item() == pytest.approx(0.5, rel=0.05)


def test_the_start_is_judged_without_the_noise():
    clean = objective(start_weight=1.0)
    noisy = objective(start_weight=1.0, noisy_starts=1.0)
    first = [one(batch(), generator()).metrics for one in (clean, noisy)]
    assert first[0]["nats_start"] == first[1]["nats_start"]
    assert first[0]["nats"] != first[1]["nats"]


def test_a_relative_error_of_foretelling_is_free_of_scale():
    """What energies are told does not depend on how large losses are; it is in their unit."""
    loss = torch.tensor([[0.5, 2.0, 3.5]], dtype=torch.float64)
    energy = torch.tensor([[1.0, 9.0, 3.0]], dtype=torch.float64, requires_grad=True)
    learnt = torch.tensor([[True, True, False]])
    plain = Found(energy, loss, None, learnt).foretelling_error(relative=True)
    u = 1.25  # the mean of what is learnt
    by_hand = u * F.smooth_l1_loss(energy[0, :2] / u, loss[0, :2] / u)
    assert plain.item() == pytest.approx(by_hand.item())
    tiny = Found(1e-4 * energy, 1e-4 * loss, None, learnt).foretelling_error(relative=True)
    assert tiny.item() == pytest.approx(1e-4 * plain.item())
    absolute = Found(1e-4 * energy, 1e-4 * loss, None, learnt).foretelling_error()
    assert absolute.item() < 1e-3 * tiny.item()
    nothing = Found(energy, 0 * loss, None, learnt).foretelling_error(relative=True)
    assert torch.autograd.grad(nothing, energy)[0].isfinite().all()


@pytest.mark.parametrize("options", [{"energy_weight": -1.0}, {"noisy_starts": 1.5}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        objective(**options)
