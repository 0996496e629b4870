"""Problems for attention of every shape, and all its derivatives up to the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from argmind.kernels.attention.problem import Limits, Problem
from argmind.nn.attention.reference import ReferenceAttention

Attend = Callable[..., Tensor]
NAMES = ("q", "keys", "values", "own_k", "own_v")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Attention of ``candidates`` · ``asked`` rows; without limits every row sees every key."""

    candidates: int = 1
    asked: int = 7
    keys: int = 7
    heads: int = 2
    kv_heads: int = 2
    head_size: int = 8
    batch: int = 2
    limited: bool = True
    shuffled: bool = False
    padded: bool = False
    lead: int = 0

    def __str__(self) -> str:
        base = Case(head_size=self.head_size)
        said = [f"{k}={v}" for k, v in vars(self).items() if v != getattr(base, k)]
        return f"d={self.head_size} " + " ".join(said)

    def limits(self, device: torch.device) -> Limits | None:
        if not self.limited:
            return None
        context = self.keys - self.lead
        after = torch.arange(self.asked) % context
        if self.shuffled:  # some rows see nothing but themselves
            drawn = torch.Generator().manual_seed(5)
            after = torch.randint(-1, context, (self.batch, self.asked), generator=drawn)
        first = torch.arange(self.batch) * (context // 2) if self.padded else None
        after = after.expand(self.batch, self.asked).to(device)
        return Limits(after, None if first is None else first.to(device), self.lead)

    def problem(self, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Problem:
        drawn = torch.Generator().manual_seed(seed)

        def some(heads: int, rows: int) -> Tensor:
            shape = (self.batch, heads, rows, self.head_size)
            return torch.randn(shape, generator=drawn, dtype=torch.float64).to(device, dtype)

        rows = self.candidates * self.asked
        shared = [some(self.kv_heads, self.keys) for _ in range(2)]
        own = [some(self.kv_heads, rows) for _ in range(2)] if self.limited else [None, None]
        return Problem(some(self.heads, rows), *shared, *own, self.limits(device))


#: Of every option at least one, and lengths that no block size divides.
CASES = (
    Case(),
    Case(limited=False),
    Case(limited=False, kv_heads=1, keys=5),
    Case(candidates=3, asked=5, keys=5, kv_heads=1),
    Case(asked=6, keys=9, shuffled=True, padded=True, lead=1),
    Case(candidates=2, asked=6, keys=7, padded=True, heads=4),
)


def reference(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    own_k: Tensor | None = None,
    own_v: Tensor | None = None,
    limits: Limits | None = None,
) -> Tensor:
    """The same attention by plain PyTorch."""
    truth = ReferenceAttention(ReferenceAttention.Config())
    if limits is not None and own_k is not None and own_v is not None:
        return truth(q, own_k, own_v, keys, values, limits)
    group = q.shape[1] // keys.shape[1]
    return truth.full(q, *(x.repeat_interleave(group, 1) for x in (keys, values)))


def derivatives(attend: Attend, problem: Problem, moving: bool = True) -> dict[str, Tensor]:
    """Value, inner adjoints, and what a loss of both teaches every input and the cotangent.

    ``moving``: the inner gradient is wanted for shared keys and values too; in a thinking step it
    is not.
    """
    given = [x.detach().requires_grad_() for x in problem[:5] if x is not None]
    names = NAMES[: len(given)]
    device, dtype = problem.q.device, problem.q.dtype
    drawn = torch.Generator().manual_seed(9)

    def weight(x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=drawn, dtype=torch.float64).to(device, dtype)

    out = attend(*given, limits=problem.limits)
    dout = weight(out).requires_grad_()
    inner = {n: x for n, x in zip(names, given, strict=True) if moving or n[0] not in "kv"}
    adjoints = torch.autograd.grad(out, list(inner.values()), dout, create_graph=True)
    wide = torch.promote_types(dtype, torch.float32)
    loss = (out.to(wide) * weight(out)).sum()
    loss = loss + sum((a.to(wide) * weight(a)).sum() for a in adjoints)
    second = torch.autograd.grad(loss, [*given, dout])
    found = {"out": out.detach()}
    found |= {f"d {n}": a.detach() for n, a in zip(inner, adjoints, strict=True)}
    return found | {f"g {n}": g for n, g in zip((*names, "dout"), second, strict=True)}


def errors(got: dict[str, Tensor], want: dict[str, Tensor]) -> dict[str, float]:
    """Relative errors ‖got − want‖ / ‖want‖, NaN kept."""
    return {
        name: float((got[name].double() - want[name].double()).norm() / want[name].double().norm())
        for name in want
    }


def assert_close(got: dict[str, Tensor], want: dict[str, Tensor], tolerance: float) -> None:
    found = errors(got, want)
    wrong = {name: error for name, error in found.items() if not error < tolerance}
    assert not wrong, f"relative errors above {tolerance}: {wrong}"
