"""How much memory a step needs, found before it is taken."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from argmind.errors import UserError
from argmind.objectives.base import Objective
from argmind.randomness import Unfilled
from argmind.train.work import Work

_GIB = 2**30
#: Compiled steps of the built-in recipes took 0.56 to 0.88 of the uncompiled ones' memory.
_COMPILED_SHARE = 0.55


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors made inside the ``with`` block that are alive, and their most."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if _dense(x)}
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if _dense(x):
                self._count(x, given)
        return result

    def _count(self, x: Tensor, given: set[int]) -> None:
        storage = x.untyped_storage()
        if id(storage) in given or storage in self._known:
            return
        size = storage.nbytes()
        self._known.add(storage)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, size)

    def _gone(self, size: int) -> None:
        self.now -= size


def _dense(x: Any) -> bool:
    return isinstance(x, Tensor) and x.layout == torch.strided


@dataclass(frozen=True)
class Need:
    """Bytes that training takes: what every batch size takes, and a micro-batch beside it."""

    held_bytes: int
    batch_bytes: int

    @property
    def total_bytes(self) -> int:
        """Both."""
        return self.held_bytes + self.batch_bytes

    def compiled(self) -> Need:
        """The least that a compiled step may take instead."""
        return replace(self, batch_bytes=int(self.batch_bytes * _COMPILED_SHARE))


def needed(
    objective: Objective[Any], batch: dict[str, Tensor], work: Work, held_copies: int
) -> Need | None:
    """What a step takes uncompiled, by a run on tensors that hold nothing.

    ``held_copies``: of all weights, such as themselves, gradients, two moments, an average. None
    where some kernel cannot be run on nothing.
    """
    weights = [weight for weight in objective.parameters() if weight.requires_grad]
    size = sum(weight.nbytes for weight in weights)
    live = LiveBytes()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            empty = {
                name: torch.empty(x.shape, dtype=x.dtype, device=work.device)
                for name, x in batch.items()
            }
            with live:
                with work.autocast():
                    value = objective.trial(empty, Unfilled()).value
                torch.autograd.grad(value, weights, allow_unused=True)
    except Exception:  # whatever a part's own code does with tensors that are none
        return None
    return Need(held_copies * size, max(0, live.peak - size))


def require_room(need: Need, there: int, samples: int, accumulate: int) -> None:
    """Refuse a micro-batch of ``samples`` that cannot fit into ``there`` bytes.

    Raises:
        UserError: with the estimate, and the settings that would fit.
    """
    if need.total_bytes <= there:
        return
    said = (
        f"a step needs about {_gib(need.total_bytes)} of GPU memory ({_gib(need.held_bytes)} for "
        f"weights, gradients and moments, {_gib(need.batch_bytes)} for a micro-batch of {samples}),"
        f" and {_gib(there)} are free."
    )
    for parts in range(2, samples + 1):
        total = need.held_bytes + need.batch_bytes / parts
        if samples % parts == 0 and total <= there:
            raise UserError(
                f"{said} Set training.accumulate={accumulate * parts}, which takes about "
                f"{_gib(total)}; or choose a smaller training.batch_size, fewer tokens in a "
                "context, or a smaller model."
            )
    raise UserError(
        f"{said} One sample at a time does not fit either: choose fewer tokens in a context, a "
        "smaller vocabulary or a smaller model."
    )


def _gib(size: float) -> str:
    return f"{size / _GIB:,.1f} GiB"
