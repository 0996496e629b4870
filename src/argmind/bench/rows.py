"""A measured row, as a table shows it and as JSON says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from argmind.bench.ceilings import Ceilings
from argmind.bench.timing import median
from argmind.eval.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model at one kind of work; ``ms`` is None where it did not fit, as ``status`` says."""

    what: str
    model: str
    status: str = "ok"
    ms: Interval | None = None
    predictions: int = 0
    flops: float | None = None
    flop_floor_ms: float | None = None
    byte_floor_ms: float | None = None
    peak_bytes: int | None = None
    parameters: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        what: str,
        model: str,
        times: list[float],
        predictions: int,
        flops: float,
        moved_bytes: float | None,
        peak_bytes: int | None,
        ceilings: Ceilings,
        parameters: int,
        details: Mapping[str, Any],
    ) -> Row:
        """From times in ms and what the work is made of."""
        return cls(
            what=what,
            model=model,
            ms=median(times),
            predictions=predictions,
            flops=flops,
            flop_floor_ms=ceilings.flop_floor_ms(flops),
            byte_floor_ms=None if moved_bytes is None else ceilings.byte_floor_ms(moved_bytes),
            peak_bytes=peak_bytes,
            parameters=parameters,
            details=details,
        )

    @classmethod
    def out_of_memory(cls, what: str, model: str, estimate: str) -> Row:
        """A row of work that did not fit."""
        return cls(what=what, model=model, status=f"out of memory ({estimate} estimated)")

    @property
    def tokens_per_s(self) -> float | None:
        """Predictions a second."""
        return None if self.ms is None else 1e3 * self.predictions / self.ms.value

    @property
    def achieved(self) -> float | None:
        """Model FLOPs a second."""
        if self.ms is None or self.flops is None:
            return None
        return 1e3 * self.flops / self.ms.value

    @property
    def floor_ms(self) -> float | None:
        """The larger of the two floors."""
        floors = [x for x in (self.flop_floor_ms, self.byte_floor_ms) if x is not None]
        return max(floors, default=None)

    @property
    def over_floor(self) -> float | None:
        """How many times the floor it took."""
        if self.ms is None or not self.floor_ms:
            return None
        return self.ms.value / self.floor_ms

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        why = "a CPU's peak is not measured: freed memory stays with the process"
        return {
            "what": self.what,
            "model": self.model,
            "status": self.status,
            "ms": None if self.ms is None else self.ms._asdict(),
            "tokens_per_s": self.tokens_per_s,
            "peak_gib": None if self.peak_bytes is None else self.peak_bytes / 2**30,
            **({"peak_gib_reason": why} if self.ms and self.peak_bytes is None else {}),
            "parameters": self.parameters,
            "model_flops": self.flops,
            "tflops_per_s": None if self.achieved is None else self.achieved / 1e12,
            "flop_floor_ms": self.flop_floor_ms,
            "byte_floor_ms": self.byte_floor_ms,
            "times_floor": self.over_floor,
            **self.details,
        }
