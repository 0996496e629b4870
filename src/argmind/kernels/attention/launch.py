"""The four functions as Triton kernels; signatures and results are those of ``plain``.

Importing this module needs Triton.
"""

# pyright: reportMissingImports=false, reportPrivateUsage=false

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from argmind.kernels.attention import _columns, _rows
from argmind.kernels.attention.problem import (
    Forward,
    Inner,
    Problem,
    Tangent,
    Vectors,
    room,
    rows_major,
)
from argmind.kernels.attention.tiles import Tile, block_width, tile_of


class _Call:
    """A problem in the layout that kernels read, and how they are launched."""

    def __init__(self, problem: Problem) -> None:
        keys, values = problem.keys, problem.values
        if keys.stride() != values.stride() or keys.stride(-1) != 1:
            keys, values = rows_major(keys), rows_major(values)
        own = problem.own_k is not None
        self.problem = Problem(
            rows_major(problem.q),
            keys,
            values,
            rows_major(problem.own_k) if problem.own_k is not None else None,
            rows_major(problem.own_v) if problem.own_v is not None else None,
            problem.limits,
        )
        limits = problem.limits
        self.batch, self.heads, self.rows, self.dim = problem.q.shape
        self.keys = keys.shape[2]
        self.shared: dict[str, Any] = {
            "Q": self.problem.q,
            "K": keys,
            "V": values,
            "AFTER": None if limits is None else limits.after,
            "FIRST": None if limits is None else limits.first,
            "scale": problem.scale,
            "R": self.rows,
            "P": self.rows if limits is None else limits.after.shape[1],
            "S": self.keys,
            "H": self.heads,
            "after_stride": 0
            if limits is None or len(limits.after) == 1
            else limits.after.stride(0),
            "key_b": keys.stride(0),
            "key_h": keys.stride(1),
            "key_s": keys.stride(2),
            "G": problem.group,
            "D": block_width(self.dim),
            "W": self.dim,
            "LIMITED": limits is not None,
            "PADDED": limits is not None and limits.first is not None,
            "LEAD": 0 if limits is None else limits.lead,
            "PRECISION": _precision(problem.q.dtype),
        }
        self.own = {"OWN_K": self.problem.own_k, "OWN_V": self.problem.own_v, "OWN": own}

    def by_rows(self, kernel: Any, **given: Any) -> None:
        """One program for every block of rows of a head."""
        tile = self._tile(kernel, given)
        programs = triton.cdiv(self.rows, tile.BM) * self.batch * self.heads
        self._launch(kernel, programs, tile, {**self.own, **given})

    def by_columns(self, kernel: Any, **given: Any) -> None:
        """One program for every block of keys of a key head."""
        tile = self._tile(kernel, given)
        programs = triton.cdiv(self.keys, tile.BN) * self.batch * self.problem.kv_heads
        self._launch(kernel, programs, tile, {**given, "RAGGED": self.shared["P"] % tile.BM != 0})

    def _tile(self, kernel: Any, given: dict[str, Any]) -> Tile:
        name = kernel.__name__ + ("_moving" if given.get("MOVING") else "")
        return tile_of(name, self.dim, self.problem.q.element_size(), self.problem.q.device)

    def _launch(self, kernel: Any, programs: int, tile: Tile, given: dict[str, Any]) -> None:
        kernel[(programs,)](
            **self.shared,
            **given,
            BM=tile.BM,
            BN=tile.BN,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )

    def like_keys(self, values: Tensor | None) -> Tensor | None:
        """A tangent of keys or values with their strides."""
        if values is None:
            return None
        keys = self.problem.keys
        if values.stride() == keys.stride():
            return values
        return torch.empty_strided(
            keys.shape, keys.stride(), dtype=values.dtype, device=values.device
        ).copy_(values)

    def along(self, along: Vectors) -> dict[str, Any]:
        """Tangents; a missing one is zero, and keys and values stand still together."""
        problem = self.problem
        keys, values = along.keys, along.values
        moving = keys is not None or values is not None
        if moving:
            keys = torch.zeros_like(problem.keys) if keys is None else keys
            values = torch.zeros_like(problem.values) if values is None else values
        pairs = (
            ("Q_T", along.q, problem.q),
            ("OWN_K_T", along.own_k, problem.own_k),
            ("OWN_V_T", along.own_v, problem.own_v),
        )
        given: dict[str, Any] = {
            name: room(of).zero_() if x is None and of is not None else _rows_major_or_none(x)
            for name, x, of in pairs
        }
        return given | {
            "K_T": self.like_keys(keys),
            "V_T": self.like_keys(values),
            "MOVING": moving,
        }

    def by_head(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """Room for what concerns own keys and values, one for each query head."""
        if self.problem.own_k is None:
            return None, None
        return room(self.problem.q), room(self.problem.q)

    def summed(self, x: Tensor | None) -> Tensor | None:
        """Summed over the query heads of a group."""
        if x is None or self.problem.group == 1:
            return x
        grouped = x.unflatten(1, (self.problem.kv_heads, -1))
        return rows_major(grouped.sum(2, dtype=torch.float32).to(x.dtype))

    def statistic(self) -> Tensor:
        """Room for one fp32 number for each row."""
        shape = (self.batch, self.heads, self.rows)
        return self.problem.q.new_empty(shape, dtype=torch.float32)


def _rows_major_or_none(x: Tensor | None) -> Tensor | None:
    return None if x is None else rows_major(x)


def _precision(dtype: torch.dtype) -> str:
    """How fp32 operands are multiplied: as PyTorch is told to multiply its own."""
    if dtype != torch.float32:
        return "ieee"  # 16-bit products are exact in fp32; nothing is rounded but operands
    return "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"


def forward(problem: Problem) -> Forward:
    """Attention and the log of each row's softmax sum."""
    call = _Call(problem)
    out, lse = room(problem.q), call.statistic()
    call.by_rows(_rows.forward_rows, OUT=out, LSE=lse)
    return Forward(out, lse)


def inner_backward(
    problem: Problem,
    out: Tensor,
    lse: Tensor,
    dout: Tensor,
    shared: bool,
) -> Inner:
    """Adjoints for a cotangent ``dout``; those of the shared keys and values only if ``shared``."""
    call = _Call(problem)
    dout = rows_major(dout)
    dq, delta = room(problem.q), call.statistic()
    own_k, own_v = call.by_head()
    call.by_rows(
        _rows.inner_rows,
        OUT=rows_major(out),
        LSE=lse,
        DOUT=dout,
        DQ=dq,
        DOWN_K=own_k,
        DOWN_V=own_v,
        DELTA=delta,
    )
    keys = values = None
    if shared:
        keys, values = room(problem.keys), room(problem.values)
        call.by_columns(_columns.inner_columns, LSE=lse, DOUT=dout, DELTA=delta, DK=keys, DV=values)
    return Inner(Vectors(dq, keys, values, call.summed(own_k), call.summed(own_v)), delta)


def tangent(
    problem: Problem,
    out: Tensor,
    lse: Tensor,
    dout: Tensor,
    along: Vectors,
) -> Tangent:
    """The derivative of attention along tangents of its inputs."""
    call = _Call(problem)
    moved = Tangent(room(out), call.statistic(), call.statistic())
    call.by_rows(
        _rows.tangent_rows,
        OUT=rows_major(out),
        LSE=lse,
        DOUT=rows_major(dout),
        OUT_T=moved.out,
        LSE_T=moved.lse,
        PRODUCT=moved.product,
        **call.along(along),
    )
    return moved


def second_adjoint(
    problem: Problem,
    done: Forward,
    dout: Tensor,
    delta: Tensor,
    along: Vectors,
    moved: Tangent,
    gout: Tensor | None,
    shared: bool,
) -> Vectors:
    """Cotangents of the inputs, for cotangents ``along`` of the inner adjoints and ``gout`` of out.

    ``delta`` comes from :func:`inner_backward`, ``moved`` from :func:`tangent`.
    """
    call = _Call(problem)
    delta_t = call.statistic()
    given: dict[str, Any] = call.along(along) | {
        "LSE": done.lse,
        "DOUT": rows_major(dout),
        "DELTA": delta,
        "LSE_T": moved.lse,
        "GOUT": _rows_major_or_none(gout),
        "OUTER": gout is not None,
        "DELTA_T": delta_t,
    }
    gq = room(problem.q)
    own_k, own_v = call.by_head()
    call.by_rows(
        _rows.adjoint_rows,
        OUT=rows_major(done.out),
        PRODUCT=moved.product,
        GQ=gq,
        GOWN_K=own_k,
        GOWN_V=own_v,
        **given,
    )
    keys = values = None
    if shared:
        keys, values = room(problem.keys), room(problem.values)
        of_rows = {"OWN_K_T", "OWN_V_T"}
        call.by_columns(
            _columns.adjoint_columns,
            GK=keys,
            GV=values,
            **{name: x for name, x in given.items() if name not in of_rows},
        )
    return Vectors(gq, keys, values, call.summed(own_k), call.summed(own_v))
