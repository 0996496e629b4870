"""Is the gradient through thinking the true one here? A tiny model against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from argmind.config import part_config
from argmind.nn.transformer import TransformerConfig
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.selftest import Finding, compiled_gradients
from argmind.train.work import Work

#: Largest relative error that passes, in float64.
TOLERANCE = 1e-5
_STEP = 1e-6
_DIRECTIONS = 4
_VOCABULARY, _ROWS = 11, 5


def second_order_error(attention: str, device: torch.device) -> float:
    """Relative error of the derivatives of a loss after two thinking steps, in float64.

    Along random directions v over all parameters ``g·v`` is compared with
    ``(L(θ + hv) − L(θ − hv)) / 2h``; the largest error counts, relative to the largest derivative.
    A part that drops a second derivative shows as an error of the order of 1.
    """
    generator = torch.Generator().manual_seed(0)
    objective = _tiny(attention, generator).to(device)
    tokens = torch.randint(_VOCABULARY, (2, _ROWS + 1), generator=generator).to(device)
    weights = list(objective.predictor.parameters())

    def loss() -> Tensor:
        return objective({"tokens": tokens}, torch.Generator(device).manual_seed(0)).value

    gradients = torch.autograd.grad(loss(), weights, allow_unused=True, materialize_grads=True)
    slopes: list[float] = []
    errors: list[float] = []
    for _ in range(_DIRECTIONS):
        way = [
            torch.randn(w.shape, generator=generator, dtype=torch.float64).to(device)
            for w in weights
        ]
        slopes.append(sum(float((g * v).sum()) for g, v in zip(gradients, way, strict=True)))
        errors.append(abs(_difference(loss, weights, way) - slopes[-1]))
    return max(errors) / max(map(abs, slopes))


def compiled_gradient(device: torch.device) -> Finding:
    """The check that training makes before it trusts compiled gradients, on a tiny model."""
    generator = torch.Generator().manual_seed(0)
    objective = _tiny("reference", generator).float().to(device).train()
    tokens = torch.randint(_VOCABULARY, (2, _ROWS + 1), generator=generator).to(device)
    for stage in objective.stages:
        stage.compile()
    return compiled_gradients(objective, {"tokens": tokens}, Work(objective, "fp32", device))


def _difference(
    loss: Callable[[], Tensor], weights: Sequence[Tensor], way: Sequence[Tensor]
) -> float:
    """Central difference of the loss along a direction."""
    ends: list[float] = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            for weight, v in zip(weights, way, strict=True):
                weight.add_(v, alpha=sign * _STEP)
        ends.append(loss().item())
        with torch.no_grad():
            for weight, v in zip(weights, way, strict=True):
                weight.sub_(v, alpha=sign * _STEP)
    return (ends[0] - ends[1]) / (2 * _STEP)


def _tiny(attention: str, generator: torch.Generator) -> ThinkingObjective:
    """Two layers, two heads, drawn from the generator."""
    dims = TransformerConfig(
        num_layers=2, num_heads=2, hidden_dim=8, attention=part_config("attention", attention)
    )
    body = part_config("body", "two_stream", transformer=dims)
    config = part_config("predictor", "ebt", body=body)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        predictor = EBT(config, ThinkingConfig(steps=2), vocab_size=_VOCABULARY).double()
        for weight in predictor.parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.add_(noise, alpha=0.1)
    return ThinkingObjective(part_config("objective", "thinking"), predictor)
