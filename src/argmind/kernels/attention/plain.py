"""The four functions in plain PyTorch, over chunks of rows: memory grows with rows + keys.

They never build a graph; statistics and accumulators are at least fp32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from argmind.kernels.attention.chunks import Chunk, Gains, Wide, dot
from argmind.kernels.attention.problem import Forward, Inner, Problem, Tangent, Vectors


def forward(problem: Problem) -> Forward:
    """Attention and the log of each row's softmax sum."""
    wide = Wide(problem)
    out = torch.empty_like(problem.q)
    lse = problem.q.new_empty(problem.q.shape[:-1], dtype=problem.wide)
    for chunk in wide:
        scores = wide.scores(chunk.q, chunk.keys)
        if chunk.mask is not None:
            scores = scores.masked_fill(~chunk.mask, float("-inf"))
        total = scores.logsumexp(-1, keepdim=True)
        own = None
        if chunk.own_k is not None:
            own = wide.own_score(chunk.q, chunk.own_k)
            total = torch.logaddexp(total, own)
        rows = scores.sub_(total).exp_() @ chunk.values
        if own is not None and chunk.own_v is not None:
            rows = rows + (own - total).exp() * chunk.own_v
        out[:, :, chunk.rows] = rows.flatten(1, 2).to(out.dtype)
        lse[:, :, chunk.rows] = total.squeeze(-1).flatten(1, 2)
    return Forward(out, lse)


def inner_backward(problem: Problem, out: Tensor, lse: Tensor, dout: Tensor, shared: bool) -> Inner:
    """Adjoints for a cotangent ``dout``; those of the shared keys and values only if ``shared``."""
    wide, gains = Wide(problem), Gains(problem, shared)
    delta = torch.empty_like(lse)
    for chunk in wide:
        rows = chunk.rows
        do, row_lse = wide.by_group(dout[:, :, rows]), _column(wide.by_group(lse[:, :, rows]))
        share, own = wide.shares(chunk, row_lse)
        d = dot(do, wide.by_group(out[:, :, rows]))
        delta[:, :, rows] = d.squeeze(-1).flatten(1, 2)
        ds = share * (do @ chunk.values.mT - d)
        dq = ds @ chunk.keys
        if own is not None and chunk.own_k is not None and chunk.own_v is not None:
            ds_own = own * (dot(do, chunk.own_v) - d)
            dq = dq + ds_own * chunk.own_k
            gains.own(rows, wide.scale * ds_own * chunk.q, own * do)
        gains.q(rows, wide.scale * dq)
        gains.shared(chunk.seen, (wide.scale * ds, chunk.q), (share, do))
    return Inner(gains.vectors(), delta)


def tangent(problem: Problem, out: Tensor, lse: Tensor, dout: Tensor, along: Vectors) -> Tangent:
    """The derivative of attention along tangents of its inputs."""
    wide = Wide(problem)
    keys_t = None if along.keys is None else wide.by_group(along.keys)
    values_t = None if along.values is None else wide.by_group(along.values)
    out_t, lse_t, product = torch.empty_like(out), torch.empty_like(lse), torch.empty_like(lse)
    for chunk in wide:
        rows = chunk.rows
        share, own = wide.shares(chunk, _column(wide.by_group(lse[:, :, rows])))
        slope = _slopes(wide, chunk, along, keys_t)
        moved = share * slope
        r = moved.sum(-1, keepdim=True)
        row = moved @ chunk.values
        if values_t is not None:
            row = row + share @ values_t[..., chunk.seen, :]
        if own is not None and chunk.own_v is not None:
            own_slope = _own_slopes(wide, chunk, along)
            r = r + own * own_slope
            row = row + own * own_slope * chunk.own_v
            if along.own_v is not None:
                row = row + own * wide.by_group(along.own_v[:, :, rows])
        row = row - r * wide.by_group(out[:, :, rows])
        out_t[:, :, rows] = row.flatten(1, 2).to(out.dtype)
        lse_t[:, :, rows] = r.squeeze(-1).flatten(1, 2)
        along_dout = dot(wide.by_group(dout[:, :, rows]), row)
        product[:, :, rows] = along_dout.squeeze(-1).flatten(1, 2)
    return Tangent(out_t, lse_t, product)


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
    wide, gains = Wide(problem), Gains(problem, shared)
    keys_t = None if along.keys is None else wide.by_group(along.keys)
    values_t = None if along.values is None else wide.by_group(along.values)
    for chunk in wide:
        rows, seen = chunk.rows, chunk.seen
        do, go = wide.by_group(dout[:, :, rows]), wide.take(gout, rows)
        lse, d, r, d_t = (
            _column(wide.by_group(x[:, :, rows]))
            for x in (done.lse, delta, moved.lse, moved.product)
        )
        if go is not None:
            d_t = d_t + dot(go, wide.by_group(done.out[:, :, rows]))
        share, own = wide.shares(chunk, lse)
        share_t = share * (_slopes(wide, chunk, along, keys_t) - r)
        above = do @ chunk.values.mT - d
        above_t = -d_t
        if values_t is not None:
            above_t = above_t + do @ values_t[..., seen, :].mT
        if go is not None:
            above_t = above_t + go @ chunk.values.mT
        ds, ds_t = share * above, share_t * above + share * above_t
        gq = ds_t @ chunk.keys
        if keys_t is not None:
            gq = gq + ds @ keys_t[..., seen, :]
        if own is not None:
            gq = gq + _own_second(wide, chunk, along, gains, (own, do, go, d, r, d_t))
        gains.q(rows, wide.scale * gq)
        gains.shared(seen, (wide.scale * ds_t, chunk.q), (share_t, do))
        q_t = wide.take(along.q, rows)
        gains.shared(
            seen,
            None if q_t is None else (wide.scale * ds, q_t),
            None if go is None else (share, go),
        )
    return gains.vectors()


def _own_second(
    wide: Wide,
    chunk: Chunk,
    along: Vectors,
    gains: Gains,
    rows: tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor],
) -> Tensor:
    """The own key's part of the second adjoint: it adds to the gains, and returns gQ's part / τ."""
    own, do, go, d, r, d_t = rows
    own_k, own_v = chunk.own_k, chunk.own_v
    assert own_k is not None
    assert own_v is not None
    own_t = own * (_own_slopes(wide, chunk, along) - r)
    above_t = -d_t
    own_v_t, own_k_t = wide.take(along.own_v, chunk.rows), wide.take(along.own_k, chunk.rows)
    if own_v_t is not None:
        above_t = above_t + dot(do, own_v_t)
    if go is not None:
        above_t = above_t + dot(go, own_v)
    ds = own * (dot(do, own_v) - d)
    ds_t = own_t * (dot(do, own_v) - d) + own * above_t
    gk, gv, gq = ds_t * chunk.q, own_t * do, ds_t * own_k
    q_t = wide.take(along.q, chunk.rows)
    if q_t is not None:
        gk = gk + ds * q_t
    if go is not None:
        gv = gv + own * go
    if own_k_t is not None:
        gq = gq + ds * own_k_t
    gains.own(chunk.rows, wide.scale * gk, gv)
    return gq


def _slopes(wide: Wide, chunk: Chunk, along: Vectors, keys_t: Tensor | None) -> Tensor:
    """Ṡ."""
    q_t = wide.take(along.q, chunk.rows)
    slope = torch.zeros((), dtype=wide.problem.wide, device=chunk.q.device)
    if q_t is not None:
        slope = slope + wide.scores(q_t, chunk.keys)
    if keys_t is not None:
        slope = slope + wide.scores(chunk.q, keys_t[..., chunk.seen, :])
    return slope


def _own_slopes(wide: Wide, chunk: Chunk, along: Vectors) -> Tensor:
    """Ṡ of the own key (…, r, 1)."""
    assert chunk.own_k is not None
    slope = torch.zeros((), dtype=wide.problem.wide, device=chunk.q.device)
    q_t, own_k_t = wide.take(along.q, chunk.rows), wide.take(along.own_k, chunk.rows)
    if q_t is not None:
        slope = slope + wide.own_score(q_t, chunk.own_k)
    if own_k_t is not None:
        slope = slope + wide.own_score(chunk.q, own_k_t)
    return slope


def _column(x: Tensor) -> Tensor:
    return x[..., None]
