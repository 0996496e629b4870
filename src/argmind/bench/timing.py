"""Times of pieces of work on a device, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

from argmind.eval.statistics import Interval

Work = Callable[[], object]


def in_turns(
    works: Mapping[str, Work], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Milliseconds of every work, ``repeats`` times, one after the other in every round.

    Whatever slows the machine down for a while then slows all of them down. Nothing is warmed up
    here.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(timed(work, device))
    return times


def timed(work: Work, device: torch.device) -> float:
    """Milliseconds of one piece of work, until the device has done it."""
    if device.type != "cuda":
        began = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - began)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record()
    work()
    last.record()
    torch.cuda.synchronize(device)
    return first.elapsed_time(last)


def median(times: list[float]) -> Interval:
    """The median, with the range that the middle 80 % lie in (None for fewer than three)."""
    value = float(np.median(times))
    if len(times) < 3:
        return Interval(value)
    low, high = np.quantile(times, [0.1, 0.9])
    return Interval(value, float(low), float(high))


def ratio(ours: list[float], theirs: list[float]) -> Interval:
    """Median of the quotients, round by round, with their middle 80 %."""
    return median([a / b for a, b in zip(ours, theirs, strict=True)])


class Peak:
    """The most memory that was allocated on a GPU beyond what was there before.

    On a CPU it is not known: what a process holds also counts what it has freed and not returned.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0

    def of(self, work: Work) -> int | None:
        """Bytes while ``work`` is done, everything since this object was made included."""
        if self._device.type != "cuda":
            work()
            return None
        torch.cuda.synchronize(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        work()
        torch.cuda.synchronize(self._device)
        return torch.cuda.max_memory_allocated(self._device) - self._before


def is_out_of_memory(error: BaseException) -> bool:
    """Is this what PyTorch raises where there is no memory left, on a GPU or a CPU?"""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    said = str(error)
    return "DefaultCPUAllocator" in said or "CUDA out of memory" in said
