"""Settings of a training run and of its optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long to train, on what, and how often to log, evaluate and save."""

    #: Optimiser steps of the whole run; the learning-rate schedule ends here.
    steps: int = 1000
    #: Samples in one optimiser step, over all processes and micro-batches.
    batch_size: int = 32
    #: Micro-batches per process that make up one optimiser step.
    accumulate: int = 1
    seed: int = 0
    #: Optimiser steps between two evaluations; 0 evaluates at the end only.
    eval_every: int = 250
    #: Held-out samples used by one evaluation; None uses all.
    eval_limit: int | None = 256
    log_every: int = 10
    #: Optimiser steps between two checkpoints; 0 saves new bests and the end only.
    checkpoint_every: int = 500
    #: Newest checkpoints that stay on disk; the best one always stays.
    keep: int = 2
    #: "auto" is bf16 autocast on a GPU that has it, else fp32; weights stay fp32. "tf32" is fp32
    #: whose matrix products keep 10 bits of mantissa, where a GPU has that.
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    #: Compile the work of a step: "on" refuses to train where the compiled gradients are wrong,
    #: "auto" compiles where it pays (a GPU, 2000 steps or more) and goes on without if it cannot.
    #: With both, one GPU replays a step as a CUDA graph; with "replay" it does that alone. A bare
    #: YAML on or off arrives as true or false, and means the same.
    compile: bool | Literal["auto", "on", "off", "replay"] = "auto"
    #: "auto", "cpu", "cuda" or "cuda:N".
    device: str = "auto"
    #: Largest decay of the moving average of the weights; None keeps no average.
    ema_decay: float | None = None
    #: How it gets there: 1 - (1 + step)^-ema_power; None: (1 + step) / (10 + step).
    ema_power: float | None = None
    tensorboard: bool = False
    #: Steps in a row with a non-finite loss or gradient after which the run stops.
    max_bad_steps: int = 10
    #: Wall-clock limit; the run then saves and stops as if interrupted.
    stop_after_minutes: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.compile, bool):
            object.__setattr__(self, "compile", "on" if self.compile else "off")
        for name in ("steps", "batch_size", "accumulate", "log_every", "keep", "max_bad_steps"):
            value = getattr(self, name)
            _require(value >= 1, f"{name} must be at least 1, got {value}")
        for name in ("seed", "eval_every", "checkpoint_every"):
            value = getattr(self, name)
            _require(value >= 0, f"{name} must not be negative, got {value}")
        limit, minutes = self.eval_limit, self.stop_after_minutes
        decay, power = self.ema_decay, self.ema_power
        _require(limit is None or limit >= 1, f"eval_limit must be at least 1, got {limit}")
        _require(
            minutes is None or minutes > 0, f"stop_after_minutes must be above 0, got {minutes}"
        )
        _require(decay is None or 0 < decay < 1, f"ema_decay must lie between 0 and 1, got {decay}")
        _require(power is None or power > 0, f"ema_power must be above 0, got {power}")
        _require(power is None or decay is not None, "ema_power needs an ema_decay, such as 0.9999")
        _require(
            self.batch_size % self.accumulate == 0,
            f"batch_size ({self.batch_size}) must be a multiple of accumulate ({self.accumulate})",
        )


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up, then a cosine down to ``min_lr_ratio * lr``."""

    lr: float = 1e-3
    min_lr_ratio: float = 0.1
    warmup_steps: int = 100
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    #: Applied to matrices only, never to gains, biases or learned step sizes.
    weight_decay: float = 0.1
    #: Largest norm of the whole gradient; None does not clip.
    clip_norm: float | None = 1.0

    def __post_init__(self) -> None:
        _require(self.lr > 0, f"lr must be above 0, got {self.lr}")
        _require(
            0 <= self.min_lr_ratio <= 1,
            f"min_lr_ratio must lie between 0 and 1, got {self.min_lr_ratio}",
        )
        _require(
            self.warmup_steps >= 0, f"warmup_steps must not be negative, got {self.warmup_steps}"
        )
        _require(
            all(0 <= beta < 1 for beta in self.betas),
            f"betas must lie in [0, 1), got {self.betas}",
        )
        _require(self.eps > 0, f"eps must be above 0, got {self.eps}")
        _require(
            self.weight_decay >= 0, f"weight_decay must not be negative, got {self.weight_decay}"
        )
        _require(
            self.clip_norm is None or self.clip_norm > 0,
            f"clip_norm must be above 0, got {self.clip_norm}",
        )
