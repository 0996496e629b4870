"""Rows in chunks: how many at a time, their buffers, and their matrix products.

Within a chunk the vocabulary is padded to a multiple of 64: matrix products over an odd number of
tokens run at a sixth of the speed on a GPU. Padding holds zeros wherever it is read. Candidates
with a number per token lie in such rows too, on a GPU; what stands behind them may be anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

#: Up to so many numbers (rows × vocabulary) plain PyTorch keeps them all: with 2²⁵ it is twice as
#: fast on an H200, where many small kernels wait for the host.
WHOLE_NUMBERS = 2**26
#: A compiled loss keeps its logits once, in 1 GiB of bfloat16 at most, and is then faster too.
WHOLE_COMPILED_LOSS_NUMBERS = 2**29
#: So large a share of a GPU may the logits of one step take that are kept, 0.8 GB for 8,192 rows of
#: 50,277 tokens in bfloat16: elsewhere derivatives compute them again.
_SHARE = 1 / 32
#: So many numbers are held at a time beyond that, or on a GPU a part of its bytes, if that is more:
#: products of few rows leave much of a large one idle.
CHUNK_NUMBERS = 2**27
CHUNKS_OF_A_GPU = 512

_MULTIPLE = 64


def fits(rows: int, vocabulary: int) -> bool:
    """Are so many rows of a vocabulary few enough to keep?"""
    return rows * vocabulary <= WHOLE_NUMBERS


def loss_fits(rows: int, vocabulary: int, device: torch.device) -> bool:
    """The same for nothing but a loss."""
    most = WHOLE_COMPILED_LOSS_NUMBERS if _compiles_for_gpu(device) else 0
    return fits(rows, vocabulary) or rows * vocabulary <= most


def logits_fit(rows: int, vocabulary: int, like: Tensor) -> bool:
    """The same for the logits of a step, alone."""
    room = _total_bytes(like.device) * _SHARE if like.is_cuda else 0
    return rows * padded(vocabulary) * like.element_size() <= room


def _compiles_for_gpu(device: torch.device) -> bool:
    return device.type == "cuda" and torch.compiler.is_compiling()


@torch.compiler.assume_constant_result
def _total_bytes(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).total_memory


def unaligned(x: Tensor, vocabulary: int) -> bool:
    """Would products over so many tokens be slow?"""
    return x.is_cuda and padded(vocabulary) != vocabulary


def chunks(rows: int, vocabulary: int, like: Tensor | None = None) -> Iterator[slice]:
    """All rows in order, in as few parts of about equal size as there is room for."""
    numbers = CHUNK_NUMBERS
    if like is not None and like.is_cuda:
        numbers = max(numbers, _total_bytes(like.device) // CHUNKS_OF_A_GPU)
    most = max(1, numbers // max(1, vocabulary))
    each = -(-rows // max(1, -(-rows // most)))
    if most > _MULTIPLE:
        each = min(-(-each // _MULTIPLE) * _MULTIPLE, most)
    for first in range(0, rows, max(1, each)):
        yield slice(first, min(first + each, rows))


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type of statistics: float32 at least."""
    return torch.promote_types(dtype, torch.float32)


def padded(vocabulary: int) -> int:
    """So many columns has a buffer."""
    return -(-vocabulary // _MULTIPLE) * _MULTIPLE


def buffer(like: Tensor, vocabulary: int, dtype: torch.dtype) -> Tensor:
    """Room for (rows, padded V), as many rows as ``like`` has."""
    return like.new_empty((len(like), padded(vocabulary)), dtype=dtype)


def candidate_room(
    like: Tensor, shape: Sequence[int], vocabulary: int, dtype: torch.dtype
) -> Tensor:
    """Room for candidates (*shape, V); on a GPU each begins at an aligned place, whatever V is."""
    width = padded(vocabulary) if begins_aligned(like) else vocabulary
    return like.new_empty((*shape, width), dtype=dtype)[..., :vocabulary]


def begins_aligned(like: Tensor) -> bool:
    """Do rows of candidates on this device begin at aligned places?"""
    return like.is_cuda


def lies_aligned(x: Tensor) -> bool:
    """Does each of these rows (M, V) begin at an aligned place, as candidates do on a GPU?"""
    return x.stride() == (padded(x.shape[1]), 1)


def room_like(x: Tensor) -> Tensor:
    """Room for a gradient: without gaps, or laid out as ``x`` is if that begins aligned."""
    if x.ndim == 2 and lies_aligned(x):
        return buffer(x, x.shape[1], x.dtype)[:, : x.shape[1]]
    return x.new_empty(x.shape)


def aligned_parts(rows: Tensor) -> list[slice]:
    """Columns of rows (M, V) in parts for products: as many as are aligned, and the few left over.

    A product over an odd number of columns is slow, even of rows that begin aligned.
    """
    size = rows.shape[1]
    left_over = size % _MULTIPLE
    parts = (slice(0, size - left_over), slice(size - left_over, size))
    return [part for part in parts if part.stop > part.start]


def to_their_ends(*rows: Tensor) -> tuple[Tensor, ...]:
    """Rows (M, V) with what stands behind each, if all of them reach equally far then.

    Kernels read and write whole vectors of rows whose ends are aligned too.
    """
    longer = [_to_its_end(x) for x in rows]
    return tuple(longer) if len({x.shape[1] for x in longer}) == 1 else rows


def _to_its_end(x: Tensor) -> Tensor:
    width = padded(x.shape[1])
    room = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    if not lies_aligned(x) or room < len(x) * width:
        return x
    return x.as_strided((len(x), width), (width, 1))


def padded_weight(weight: Tensor) -> Tensor:
    """(padded V, D), in memory as the weight is."""
    missing = padded(len(weight)) - len(weight)
    if not missing:
        return weight
    if weight.stride(0) == 1:  # the transpose of a matrix with a column per token
        return F.pad(weight.T, (0, missing)).T
    return F.pad(weight, (0, 0, 0, missing))


def product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """``a @ b`` of equal types as ``dtype``, rounded once."""
    if dtype == a.dtype:
        return a @ b
    if a.is_cuda and dtype == torch.float32:
        return torch.mm(a, b, out_dtype=dtype)
    return (a @ b).to(dtype)


def into_vocabulary(a: Tensor, weight: Tensor) -> Tensor:
    """``a weightᵀ``: (rows, D) and (V, D) → (rows, V)."""
    return a.to(weight.dtype) @ weight.T


def total_like(weight: Tensor) -> Tensor:
    """Zeros (padded V, D) in which a weight's gradient is summed."""
    return weight.new_zeros((padded(len(weight)), weight.shape[1]), dtype=wide(weight.dtype))


def add_outer(total: Tensor, a: Tensor, b: Tensor, sign: int = 1) -> None:
    """``total += sign · aᵀ b``: (rows, V) and (rows, D) onto a (V, D) of their type or a wider."""
    if total.dtype == a.dtype:
        total.addmm_(a.T, b, alpha=sign)
    elif total.is_cuda and total.dtype == torch.float32:
        torch.addmm(total, a.T, b, alpha=sign, out_dtype=total.dtype, out=total)
    else:
        total.add_(a.T @ b, alpha=sign)


def summed(total: Tensor | None, weight: Tensor | None) -> Tensor | None:
    """A sum in the shape and type of its weight."""
    if total is None or weight is None:
        return None
    return total[: len(weight)].to(weight.dtype)
