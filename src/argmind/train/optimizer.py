"""AdamW over named parameters: groups, learning-rate schedule, state as flat tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from argmind.errors import UserError
from argmind.train.config import OptimizerConfig


def lr_at(step: int, steps: int, config: OptimizerConfig) -> float:
    """Learning rate of the ``step``-th (from 0) of ``steps`` optimiser steps."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
    lowest = config.min_lr_ratio * config.lr
    return lowest + (config.lr - lowest) * (1 + math.cos(math.pi * done)) / 2


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups of ``module``'s trainable parameters, each parameter in exactly one.

    Tensors with two or more axes decay. A submodule with an ``lr_factor`` (a learned step size)
    has the learning rate of its own direct parameters multiplied by it, and they do not decay.
    """
    groups: defaultdict[tuple[float, float], dict[str, Tensor]] = defaultdict(dict)
    seen: set[Tensor] = set()
    for prefix, owner in module.named_modules():
        factor = getattr(owner, "lr_factor", None)
        for name, parameter in owner.named_parameters(prefix, recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            decays = factor is None and parameter.ndim >= 2
            key = (1.0 if factor is None else float(factor), weight_decay if decays else 0.0)
            groups[key][name] = parameter
    return [
        {
            "params": list(named.values()),
            "names": list(named),
            "lr_factor": factor,
            "weight_decay": decay,
        }
        for (factor, decay), named in sorted(groups.items())
    ]


class NamedAdamW(torch.optim.AdamW):
    """Fused AdamW that knows its parameters by name and can skip a step on the device."""

    def __init__(self, module: nn.Module, config: OptimizerConfig) -> None:
        groups = parameter_groups(module, config.weight_decay)
        super().__init__(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)

    def set_lr(self, lr: float) -> None:
        """Use this learning rate, times each group's own factor."""
        for group in self.param_groups:
            group["lr"] = lr * group["lr_factor"]

    def step_unless(self, bad: Tensor) -> None:
        """One update; none at all, moments and step count included, where ``bad`` is 1.

        ``bad`` stays on the device: the fused kernel reads it there, as it does for a gradient
        scaler, so nothing waits for the host.
        """
        self.found_inf = bad
        self.step()

    def named(self) -> dict[str, Tensor]:
        """Every parameter by name."""
        return {
            name: parameter
            for group in self.param_groups
            for name, parameter in zip(group["names"], group["params"], strict=True)
        }

    def tensors(self) -> dict[str, Tensor]:
        """The whole state as ``{"<parameter name>.<exp_avg | exp_avg_sq | step>": tensor}``."""
        return {
            f"{name}.{key}": value
            for name, parameter in self.named().items()
            for key, value in self.state.get(parameter, {}).items()
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up a state given by :meth:`tensors`.

        Raises:
            UserError: it belongs to other parameters.
        """
        index = {name: i for i, name in enumerate(self.named())}
        state: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        for full, tensor in tensors.items():
            name, _, key = full.rpartition(".")
            if name not in index:
                raise UserError(
                    f"the optimiser state has the parameter '{name}', which this model lacks. "
                    "Resume with the recipe of the run."
                )
            # A copy, because a tensor read from a file may lie unaligned in its buffer.
            state[index[name]][key] = tensor.clone()
        self.load_state_dict({**self.state_dict(), "state": dict(state)})
