"""Many problems answered in parts, as if they were one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from argmind.data.base import Batch
from argmind.predictors.base import Prediction, Trace


def parts(batch: Batch, size: int) -> Iterator[tuple[int, Batch]]:
    """A batch in parts of at most ``size`` problems, each with the number of its first."""
    for first in range(0, len(batch["clean"]), size):
        yield first, {name: x[first : first + size] for name, x in batch.items()}


def joined(predictions: Sequence[Prediction]) -> Prediction:
    """The predictions of all parts as one."""
    names = ("output", "candidate", "energy", "steps", "nfe", "diverged")
    tensors = {name: torch.cat([getattr(one, name) for one in predictions]) for name in names}
    traces = [one.trace for one in predictions if one.trace is not None]
    return replace(predictions[0], **tensors, trace=_joined_trace(traces) if traces else None)


def _joined_trace(traces: Sequence[Trace]) -> Trace:
    """Traces of one length: where a part stopped early, its last step stands for the rest."""
    length = max(len(trace.outputs) for trace in traces)

    def step(kept: str, number: int) -> Tensor:
        every = [getattr(trace, kept) for trace in traces]
        return torch.cat([one[min(number, len(one) - 1)] for one in every])

    return Trace(
        outputs=[step("outputs", number) for number in range(length)],
        energies=[step("energies", number) for number in range(length)],
    )
