"""How fast a run goes and how much of the device it uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch

# Dense bf16 peaks in FLOP/s, from the makers' data sheets. The first name that fits counts.
_PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
}


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Peak FLOP/s of the device in bf16; None if unknown or in another precision."""
    if device.type != "cuda" or precision != "bf16":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), None)


class Stopwatch:
    """Time and speed between two log points.

    ``elapsed_s`` is the training time of the whole run over all its resumes, evaluation and
    saving left out. ``step_flops`` tells the model FLOPs of one optimiser step of all ``devices``
    together; ``flops_utilisation`` is their share of the peak, None where the peak is not known.
    """

    def __init__(
        self,
        step_flops: Callable[[], float],
        device: torch.device,
        precision: str,
        devices: int = 1,
    ) -> None:
        self._device = device
        peak = peak_flops(device, precision)
        self._share_per_step = None if peak is None else step_flops() / (peak * devices)
        self.start(0.0)

    def start(self, elapsed_s: float) -> None:
        """Count from now on, on top of what earlier starts of the run took."""
        self._elapsed_s = elapsed_s
        self._last_s = time.perf_counter()

    def lap(self, predictions: int, steps: int) -> dict[str, float | None]:
        """Figures since the last lap: so many predictions trained on, in so many steps."""
        now_s = time.perf_counter()
        duration_s, self._last_s = now_s - self._last_s, now_s
        self._elapsed_s += duration_s
        share = self._share_per_step
        return {
            "elapsed_s": round(self._elapsed_s, 4),
            "predictions_per_s": round(predictions / duration_s, 2),
            "flops_utilisation": None if share is None else share * steps / duration_s,
        }

    @contextmanager
    def paused(self) -> Generator[None]:
        """What happens inside the ``with`` block does not count."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        start_s = time.perf_counter()
        yield
        self._last_s += time.perf_counter() - start_s
