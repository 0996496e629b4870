"""Which form of attention serves a call, and why another does not."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import torch

from argmind.kernels.attention.tiles import HEAD_SIZE_STEP, LARGEST_HEAD_SIZE

_TYPES = (torch.bfloat16, torch.float16, torch.float32)
#: Scores of one call from which they are computed in chunks rather than held; a few copies of them
#: would be alive at once.
LARGEST_SCORES_BYTES = 256 * 2**20

Form = Literal["kernels", "chunks", "reference"]


class Choice(NamedTuple):
    """A form, and why it is not the one before it: kernels, then chunks or reference."""

    form: Form
    why: str


def serving(q_shape: Sequence[int], keys: int, device: torch.device, dtype: torch.dtype) -> Choice:
    """What serves queries of this shape (B, H, R, d) over this many keys."""
    reason = why_not_triton(device, dtype, q_shape[-1])
    if reason is None:
        return Choice("kernels", "they serve")
    scores_bytes = math.prod(q_shape[:-1]) * keys * max(4, dtype.itemsize)
    if scores_bytes > LARGEST_SCORES_BYTES:
        return Choice("chunks", f"{reason}; scores would take {scores_bytes / 2**20:,.0f} MiB")
    return Choice("reference", reason)


@torch.compiler.assume_constant_result
def why_not_triton(device: torch.device, dtype: torch.dtype, head_size: int) -> str | None:
    """Why the Triton kernels do not serve here; None where they do."""
    if device.type != "cuda":
        return "the kernels need a CUDA GPU"
    if not _has_triton():
        return "Triton is not installed"
    if _capability(device) < (8, 0):
        return "the kernels need a GPU of compute capability 8.0 (A100) or newer"
    if dtype not in _TYPES:
        return f"the kernels compute in bf16, fp16 and fp32, not in {str(dtype)[6:]}"
    if head_size > LARGEST_HEAD_SIZE or head_size % HEAD_SIZE_STEP:
        sizes = f"up to {LARGEST_HEAD_SIZE} elements, in multiples of {HEAD_SIZE_STEP}"
        return f"the kernels are made for heads of {sizes}, not {head_size}"
    return None


def report(device: torch.device, head_size: int = 64) -> dict[str, str]:
    """Per type, which form serves attention here, and why not a faster one."""
    said: dict[str, str] = {}
    for dtype in (*_TYPES, torch.float64):
        form, why = serving((1, 1, 1, head_size), 1, device, dtype)
        limit = f"{LARGEST_SCORES_BYTES // 2**20} MiB"
        rest = "" if form == "kernels" else f" ({why}; chunks where scores would pass {limit})"
        said[str(dtype)[6:]] = form + rest
    return said


@lru_cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


@lru_cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)
