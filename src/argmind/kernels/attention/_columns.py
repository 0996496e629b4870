"""Triton kernels that keep keys and pass over rows: adjoints of shared keys and values.

Tiles lie transposed, (keys, rows), so that the sums over rows are products without a transpose.
No atomics: each program owns its keys, so that the same input always gives the same bits.
"""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false, reportPrivateUsage=false

from __future__ import annotations

import triton
import triton.language as tl

from argmind.kernels.attention._parts import LOG2E, column_limits, load, seen, statistic, store

_SIZES = ["R", "P", "S"]


@triton.jit
def _program(S, KV_HEADS, BN: tl.constexpr):
    """(sequence, key head, first column) of a program; those that most rows see come first."""
    blocks = tl.cdiv(S, BN)
    pid = tl.program_id(0)
    head = pid // blocks
    return (head // KV_HEADS).to(tl.int64), head % KV_HEADS, pid % blocks * BN


@triton.jit(do_not_specialize=_SIZES)
def inner_columns(
    Q, K, V, AFTER, FIRST, LSE, DOUT, DELTA, DK, DV,
    scale, R, P, S, H, after_stride, key_b, key_h, key_s,
    G: tl.constexpr, D: tl.constexpr, W: tl.constexpr, LIMITED: tl.constexpr, PADDED: tl.constexpr,
    LEAD: tl.constexpr, RAGGED: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dK and dV, summed over the heads of a group and over candidates."""
    b, kv, low = _program(S, H // G, BN)
    columns, key_at, wide = low + tl.arange(0, BN), b * key_b + kv * key_h, H * W
    k = load(K + key_at, columns, key_s, S, D, W, True)
    v = load(V + key_at, columns, key_s, S, D, W, True)
    factor = scale * LOG2E
    dk, dv = tl.zeros([BN, D], tl.float32), tl.zeros([BN, D], tl.float32)
    begin, whole, first = 0, 0, 0
    if LIMITED:
        begin, whole = column_limits(AFTER, after_stride, b, low, P, LEAD, PADDED, BM, BN)
    if PADDED:
        first = tl.load(FIRST + b).to(tl.int32) + LEAD
    for turn in range(G * (R // P)):
        h, start = kv * G + turn % G, turn // G * P
        at, stat = ((b * R + start) * H + h) * W, (b * H + h) * R + start
        for phase in tl.static_range(1 - LIMITED, 2):
            top, bottom = (begin, tl.minimum(whole, P)) if phase == 0 else (whole, P)
            for i in range(top, bottom, BM):
                rows = i + tl.arange(0, BM)
                q = load(Q + at, rows, wide, P, D, W, RAGGED)
                do = load(DOUT + at, rows, wide, P, D, W, RAGGED)
                lse = statistic(LSE + stat, rows, P, float("inf"), RAGGED) * LOG2E
                delta = statistic(DELTA + stat, rows, P, 0.0, RAGGED)
                s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor
                p = tl.exp2(s - lse[:, None])
                if phase == 0:
                    last = statistic(AFTER + b * after_stride, rows, P, -1, RAGGED).to(tl.int32)
                    visible = seen(columns[None, :], last[:, None] + LEAD, first, PADDED, LEAD)
                    p = tl.where(visible, p, 0.0)
                dv = tl.dot(tl.trans(p.to(do.dtype)), do, dv, input_precision=PRECISION)
                dp = tl.dot(do, tl.trans(v), input_precision=PRECISION)
                ds = p * (dp - delta[:, None])
                dk = tl.dot(tl.trans(ds.to(q.dtype)), q, dk, input_precision=PRECISION)
    own_at = (b * S * (H // G) + kv) * W
    store(DK + own_at, columns, wide // G, S, dk * scale, D, W)
    store(DV + own_at, columns, wide // G, S, dv, D, W)


@triton.jit(do_not_specialize=_SIZES)
def adjoint_columns(
    Q, K, V, AFTER, FIRST, LSE, DOUT, DELTA, Q_T, K_T, V_T, LSE_T, DELTA_T, GOUT, GK, GV,
    scale, R, P, S, H, after_stride, key_b, key_h, key_s,
    G: tl.constexpr, D: tl.constexpr, W: tl.constexpr, LIMITED: tl.constexpr, PADDED: tl.constexpr,
    LEAD: tl.constexpr, MOVING: tl.constexpr, OUTER: tl.constexpr, RAGGED: tl.constexpr,
    PRECISION: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """gK and gV, summed over the heads of a group and over candidates."""
    b, kv, low = _program(S, H // G, BN)
    columns, key_at, wide = low + tl.arange(0, BN), b * key_b + kv * key_h, H * W
    k = load(K + key_at, columns, key_s, S, D, W, True)
    v = load(V + key_at, columns, key_s, S, D, W, True)
    k_t = load(K_T + key_at, columns, key_s, S, D, W, True) if MOVING else k
    v_t = load(V_T + key_at, columns, key_s, S, D, W, True) if MOVING else v
    factor = scale * LOG2E
    gk, gv = tl.zeros([BN, D], tl.float32), tl.zeros([BN, D], tl.float32)
    begin, whole, first = 0, 0, 0
    if LIMITED:
        begin, whole = column_limits(AFTER, after_stride, b, low, P, LEAD, PADDED, BM, BN)
    if PADDED:
        first = tl.load(FIRST + b).to(tl.int32) + LEAD
    for turn in range(G * (R // P)):
        h, start = kv * G + turn % G, turn // G * P
        at, stat = ((b * R + start) * H + h) * W, (b * H + h) * R + start
        for phase in tl.static_range(1 - LIMITED, 2):
            top, bottom = (begin, tl.minimum(whole, P)) if phase == 0 else (whole, P)
            for i in range(top, bottom, BM):
                rows = i + tl.arange(0, BM)
                q = load(Q + at, rows, wide, P, D, W, RAGGED)
                q_t = load(Q_T + at, rows, wide, P, D, W, RAGGED)
                do = load(DOUT + at, rows, wide, P, D, W, RAGGED)
                lse = statistic(LSE + stat, rows, P, float("inf"), RAGGED) * LOG2E
                delta = statistic(DELTA + stat, rows, P, 0.0, RAGGED)
                r = statistic(LSE_T + stat, rows, P, 0.0, RAGGED)
                delta_t = statistic(DELTA_T + stat, rows, P, 0.0, RAGGED)
                s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor
                p = tl.exp2(s - lse[:, None])
                if phase == 0:
                    last = statistic(AFTER + b * after_stride, rows, P, -1, RAGGED).to(tl.int32)
                    visible = seen(columns[None, :], last[:, None] + LEAD, first, PADDED, LEAD)
                    p = tl.where(visible, p, 0.0)
                slope = tl.dot(q_t, tl.trans(k), input_precision=PRECISION)
                if MOVING:
                    slope = tl.dot(q, tl.trans(k_t), slope, input_precision=PRECISION)
                slope = slope * scale - r[:, None]
                gv = tl.dot(tl.trans((p * slope).to(do.dtype)), do, gv, input_precision=PRECISION)
                above = tl.dot(do, tl.trans(v), input_precision=PRECISION) - delta[:, None]
                ds_t = slope * above - delta_t[:, None]
                if MOVING:
                    ds_t = tl.dot(do, tl.trans(v_t), ds_t, input_precision=PRECISION)
                if OUTER:
                    go = load(GOUT + at, rows, wide, P, D, W, RAGGED)
                    gv = tl.dot(tl.trans(p.to(go.dtype)), go, gv, input_precision=PRECISION)
                    ds_t = tl.dot(go, tl.trans(v), ds_t, input_precision=PRECISION)
                gk = tl.dot(tl.trans((p * ds_t).to(q.dtype)), q, gk, input_precision=PRECISION)
                gk = tl.dot(tl.trans((p * above).to(q.dtype)), q_t, gk, input_precision=PRECISION)
    own_at = (b * S * (H // G) + kv) * W
    store(GK + own_at, columns, wide // G, S, gk * scale, D, W)
    store(GV + own_at, columns, wide // G, S, gv, D, W)
