"""Are compiled gradients the true ones? Compared with the plain ones before training begins."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from argmind.nn.attention.base import CandidateAttention
from argmind.nn.attention.reference import ReferenceAttention
from argmind.objectives.base import Objective
from argmind.randomness import Draws, Randomness, Repeated, Tape
from argmind.train.work import Work

#: Relative error of one weight's gradient that passes anyway, by precision.
_ALLOWED = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}
#: The same, where plain gradients in the same precision are no better.
_MOST = 0.5
#: How much worse than those the compiled ones may be.
_WORSE = 4.0
#: A gradient smaller than this share of the whole counts as this large, by precision: what is left
#: of it is rounding of larger ones, such as for queries and keys of attention that is still even.
_NEGLIGIBLE = {"fp32": 1e-4, "tf32": 1e-3, "bf16": 1e-2}


@dataclass(frozen=True)
class Finding:
    """The weight whose compiled gradient is furthest off, relative to what is allowed."""

    weight: str
    error: float
    allowed: float
    cause: str

    @property
    def passed(self) -> bool:
        """Are the compiled gradients right? Written so that NaN fails."""
        return self.error <= self.allowed

    def __str__(self) -> str:
        size = f"{self.error:.2g} of its size (allowed: {self.allowed:.2g})"
        if self.passed:
            return f"the compiled gradient of {self.weight} is off by {size}, of all the most."
        return f"the compiled gradient of {self.weight} is off by {size}; {self.cause}"


def compiled_gradients(
    objective: Objective[Any], batch: dict[str, Tensor], work: Work, seed: int = 0
) -> Finding:
    """Compare the compiled stages' gradients with plain ones in fp32 with plain attention.

    The very programs that training will use work on a batch made of copies of its first rows, and
    the plain code on these rows alone: as samples never couple, both means are the same. Plain
    gradients in the precision of training say how much of a difference is rounding.
    """
    rows = len(next(iter(batch.values())))
    few = 2 if rows % 2 == 0 else 1
    slice_ = {name: x[:few] for name, x in batch.items()}
    whole = {name: torch.cat([x] * (rows // few)) for name, x in slice_.items()}
    tape = Tape(Repeated(torch.Generator(work.device).manual_seed(seed), rows // few))
    with work.autocast():
        compiled = _gradients(objective, whole, tape)
    drawn = [x[:few] for x in tape.tensors]

    def plain(in_precision: bool, reference: bool) -> dict[str, Tensor]:
        with ExitStack() as stack:
            for stage in objective.stages:
                stack.enter_context(stage.as_written())
            if reference:
                stack.enter_context(_plain_attention(objective))
            if in_precision:
                stack.enter_context(work.autocast())
            return _gradients(objective, slice_, Draws(drawn))

    truth = plain(in_precision=False, reference=True)
    least, floor = _NEGLIGIBLE[work.precision], _ALLOWED[work.precision]
    rounding = _errors(plain(in_precision=True, reference=False), truth, least)
    errors = _errors(compiled, truth, least)
    allowed = {name: min(max(floor, _WORSE * rounding[name]), _MOST) for name in errors}
    # NaN first.
    worst = max(
        errors, key=lambda name: (errors[name] != errors[name], errors[name] / allowed[name])
    )
    finding = Finding(worst, errors[worst], allowed[worst], "")
    if finding.passed:
        return finding
    kernels = _errors(plain(in_precision=False, reference=False), truth, least)[worst]
    return Finding(worst, errors[worst], allowed[worst], _cause(rounding[worst], kernels))


def _cause(rounding: float, kernels: float) -> str:
    if kernels > _ALLOWED["bf16"]:
        return (
            "uncompiled it is wrong as well: the attention or another kernel in use has a wrong "
            "second derivative here. `argmind doctor` tests them; choose attention=reference."
        )
    if rounding > _MOST / _WORSE:
        return (
            "uncompiled it is rounded nearly as badly: use precision=fp32, or a smaller "
            "thinking step size."
        )
    return (
        "uncompiled it is right, so compiling changes or drops a derivative: most likely that of a "
        "torch.autograd.Function which is not inside a torch.compiler.allow_in_graph function."
    )


def _gradients(
    objective: Objective[Any], batch: dict[str, Tensor], source: Randomness
) -> dict[str, Tensor]:
    """Gradients of all weights by name; zeros where the loss does not depend on one."""
    weights = {n: w for n, w in objective.predictor.named_parameters() if w.requires_grad}
    value = objective.trial(batch, source).value
    found = torch.autograd.grad(
        value, list(weights.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(weights, found, strict=True))


def _errors(
    found: dict[str, Tensor], truth: dict[str, Tensor], negligible: float
) -> dict[str, float]:
    """‖found − truth‖ of every weight, by ‖truth‖ or the negligible share of all if it is more."""
    sizes = {name: x.norm() for name, x in truth.items()}
    least = negligible * torch.stack(list(sizes.values())).norm()
    relative = [(found[n] - truth[n]).norm() / sizes[n].clamp(min=least) for n in truth]
    return dict(zip(truth, torch.stack(relative).tolist(), strict=True))


@contextmanager
def _plain_attention(objective: nn.Module) -> Generator[None]:
    """Every attention in its plain form inside the ``with`` block."""
    swapped: list[tuple[nn.Module, str, nn.Module]] = []
    for module in list(objective.modules()):
        for name, child in module.named_children():
            inside = isinstance(module, CandidateAttention)
            if isinstance(child, CandidateAttention) and not (inside or child.is_plain):
                swapped.append((module, name, child))
    reference = ReferenceAttention(ReferenceAttention.Config())
    for module, name, _ in swapped:
        setattr(module, name, reference)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for module, name, child in swapped:
            setattr(module, name, child)
