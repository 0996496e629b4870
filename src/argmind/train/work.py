"""Forward and backward of one micro-batch: as it is written, or recorded once and replayed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from argmind.objectives.base import Loss
from argmind.train.allocator import keep_freed_memory

#: Runs before a recording: memory is allocated, kernels are chosen and compiled.
_WARM_UPS = 3


class Work:
    """Adds a micro-batch's gradients to those of the weights; returns its loss.

    ``share``: the gradients are divided by this number, that of micro-batches in a step.
    """

    def __init__(self, objective: nn.Module, precision: str, device: torch.device) -> None:
        self.objective, self.device = objective, device
        self.precision = precision
        if device.type == "cpu":
            keep_freed_memory()

    def autocast(self) -> torch.autocast:
        """The precision of this run.

        Low-precision copies of weights are not kept: a weight that is used several times has its
        gradients added up in full precision.
        """
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False
        )

    def __call__(self, batch: dict[str, Tensor], generator: torch.Generator, share: int) -> Loss:
        """Forward and backward."""
        batch = self.here(batch)
        with self.autocast():
            loss: Loss = self.objective(batch, generator)
        (loss.value / share).backward()
        return loss

    def zero_gradients(self) -> None:
        """Before a step."""
        for weight in self.objective.parameters():
            weight.grad = None

    def here(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """A batch on the device, without waiting for it."""
        if self.device.type == "cpu":
            return batch
        return {name: _pinned(x).to(self.device, non_blocking=True) for name, x in batch.items()}


class Recorded(Work):
    """The same as one CUDA graph: the host launches it, and is free.

    For work that is the same in every step but for its numbers (:attr:`Objective.repeats`); a batch
    of another shape is worked on as it is written. Gradients stay where they are in memory.
    """

    def __init__(self, objective: nn.Module, precision: str, device: torch.device) -> None:
        super().__init__(objective, precision, device)
        self._kind: Any = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: dict[str, Tensor] = {}
        self._loss: Loss | None = None

    def __call__(self, batch: dict[str, Tensor], generator: torch.Generator, share: int) -> Loss:
        """Forward and backward."""
        known = self._kind == (_shapes(batch), share)
        if not known or self._graph is None or self._loss is None:
            return super().__call__(batch, generator, share)
        for name, here in self._batch.items():
            here.copy_(_pinned(batch[name]), non_blocking=True)
        self._graph.replay()
        return self._loss

    def zero_gradients(self) -> None:
        """Before a step."""
        for weight in self.objective.parameters():
            if weight.grad is not None:
                weight.grad.zero_()

    def record(self, batch: dict[str, Tensor], generator: torch.Generator, share: int) -> None:
        """Warm up beside the main stream, then record; gradients are zero afterwards."""
        self._batch = {name: x.to(self.device).clone() for name, x in batch.items()}
        main, beside = torch.cuda.current_stream(), torch.cuda.Stream()
        beside.wait_stream(main)
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                super().__call__(self._batch, generator, share)
        main.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            self._loss = super().__call__(self._batch, generator, share)
        self.zero_gradients()
        self._graph, self._kind = graph, (_shapes(batch), share)


def _shapes(batch: dict[str, Tensor]) -> dict[str, Any]:
    return {name: (x.shape, x.dtype) for name, x in batch.items()}


def _pinned(x: Tensor) -> Tensor:
    # Numbers that several places share, as in an expanded tensor, cannot be pinned as they are.
    return x if x.is_cuda else x.contiguous().pin_memory()
