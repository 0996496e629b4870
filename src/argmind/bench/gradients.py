"""How exact the gradients of a precision or engine are, parameter by parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.assembly import build_objective
from argmind.bench.subject import Setting
from argmind.recipes.base import Recipe, customised

#: Every weight is moved by this share of its spread, and by a little: none stays at zero.
_MOVED, _LEAST = 0.3, 0.02


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way of computing a gradient."""

    precision: str = "fp32"
    compiled: bool = False
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """With the float64 gradient: ‖g − g₆₄‖ / ‖g₆₄‖ and cosine, of every parameter."""

    errors: Mapping[str, float]
    cosines: Mapping[str, float]

    def plain(self) -> dict[str, Any]:
        """Worst and median, and which parameter is worst."""
        errors = np.array(list(self.errors.values()))
        cosines = np.array(list(self.cosines.values()))
        return {
            "worst_error": float(errors.max()),
            "median_error": float(np.median(errors)),
            "worst_cosine": float(cosines.min()),
            "median_cosine": float(np.median(cosines)),
            "worst_parameter": max(self.errors, key=lambda name: self.errors[name]),
            "parameters": len(errors),
        }


def agreements(
    setting: Setting, recipe: Recipe, engines: Mapping[str, Engine]
) -> dict[str, Agreement]:
    """Of every engine with plain autograd in float64 (reference attention, nothing compiled).

    All see the same weights, tokens and draws.
    """
    weights = _weights(setting, recipe)
    plain = Engine(precision="fp64", settings=_REFERENCE)
    truth = _gradients(setting, recipe, plain, weights)
    found: dict[str, Agreement] = {}
    for name, engine in engines.items():
        found[name] = _compared(_gradients(setting, recipe, engine, weights), truth)
    return found


#: A gradient that is nothing has no direction.
_TINY = 1e-300

_REFERENCE = ("predictor.body.transformer.attention=reference",)


def _weights(setting: Setting, recipe: Recipe) -> dict[str, Tensor]:
    """Fresh weights, moved so that nothing is at a value that hides something."""
    generator = torch.Generator(setting.torch_device).manual_seed(setting.seed)
    weights = setting.model(recipe).state_dict()
    for weight in weights.values():
        spread = weight.std() if weight.numel() > 1 else weight.abs().mean()
        noise = torch.randn(weight.shape, generator=generator, device=weight.device)
        weight.add_(noise * (_MOVED * spread + _LEAST * (spread == 0)))
    return weights


def _gradients(
    setting: Setting, recipe: Recipe, engine: Engine, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    model = setting.model(customised(recipe, None, list(engine.settings)))
    model.load_state_dict(dict(weights))
    objective: Any = build_objective(recipe, model).train()
    if engine.precision == "fp64":
        objective.double()
    if engine.compiled:
        for stage in objective.stages:
            stage.compile()
    device = setting.torch_device
    batch = {"tokens": setting.tokens(setting.context_tokens + 1)}
    autocast: Callable[..., Any] = torch.autocast
    with autocast(device.type, torch.bfloat16, enabled=engine.precision == "bf16"):
        loss = objective(batch, torch.Generator(device).manual_seed(setting.seed))
    loss.value.backward()
    named = model.named_parameters()
    return {
        n: torch.zeros_like(p, dtype=torch.float64) if p.grad is None else p.grad.double()
        for n, p in named
    }


def _compared(got: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Agreement:
    errors, cosines = dict[str, float](), dict[str, float]()
    for name, exact in truth.items():
        size = exact.norm()
        if not float(size):
            continue
        mine = got[name]
        errors[name] = float((mine - exact).norm() / size)
        cosines[name] = float(F.cosine_similarity(mine.flatten(), exact.flatten(), 0, eps=_TINY))
    return Agreement(errors, cosines)
