"""Triton kernels that keep rows and pass over keys: forward, inner backward, tangent, adjoint."""

# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportMissingParameterType=false, reportPrivateUsage=false

from __future__ import annotations

import triton
import triton.language as tl

from argmind.kernels.attention._parts import LOG2E, dot, load, program, row_limits, seen, store

# Sizes that vary from call to call are not worth a compilation each.
_SIZES = ["R", "P", "S"]


@triton.jit(do_not_specialize=_SIZES)
def forward_rows(
    Q, K, V, OWN_K, OWN_V, AFTER, FIRST, OUT, LSE,
    scale, R, P, S, H, after_stride, key_b, key_h, key_s,
    G: tl.constexpr, D: tl.constexpr, W: tl.constexpr, OWN: tl.constexpr, LIMITED: tl.constexpr,
    PADDED: tl.constexpr, LEAD: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """out and lse: an online softmax, which the own key begins."""
    b, h, rows = program(R, H, BM)
    at, own_at, wide = (b * R * H + h) * W, (b * R * (H // G) + h // G) * W, H * W
    key_at = b * key_b + h // G * key_h
    factor = scale * LOG2E
    q = load(Q + at, rows, wide, R, D, W, True)
    if OWN:
        top = dot(q, load(OWN_K + own_at, rows, wide // G, R, D, W, True)) * factor
        total = tl.full([BM], 1.0, tl.float32)
        acc = load(OWN_V + own_at, rows, wide // G, R, D, W, True).to(tl.float32)
    else:
        top = tl.full([BM], float("-inf"), tl.float32)
        total = tl.zeros([BM], tl.float32)
        acc = tl.zeros([BM, D], tl.float32)
    last, first, begin, mixed, end = row_limits(
        AFTER, after_stride, FIRST, b, rows, R, P, S, LIMITED, PADDED, LEAD, BN
    )
    for phase in tl.static_range(2):
        low, high = (begin, mixed) if phase == 0 else (mixed, end)
        for j in range(low, high, BN):
            columns = j + tl.arange(0, BN)
            k = load(K + key_at, columns, key_s, S, D, W, phase == 1)
            s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor
            if phase == 1:
                visible = seen(columns[None, :], last[:, None], first, PADDED, LEAD)
                s = tl.where(visible, s, float("-inf"))
            new = tl.maximum(top, tl.max(s, 1))
            shrink = tl.exp2(top - new)
            p = tl.exp2(s - new[:, None])
            total = total * shrink + tl.sum(p, 1)
            v = load(V + key_at, columns, key_s, S, D, W, phase == 1)
            acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None], input_precision=PRECISION)
            top = new
    store(OUT + at, rows, wide, R, acc / total[:, None], D, W)
    tl.store(LSE + (b * H + h) * R + rows, (top + tl.log2(total)) / LOG2E, mask=rows < R)


@triton.jit(do_not_specialize=_SIZES)
def inner_rows(
    Q, K, V, OWN_K, OWN_V, AFTER, FIRST, OUT, LSE, DOUT, DQ, DOWN_K, DOWN_V, DELTA,
    scale, R, P, S, H, after_stride, key_b, key_h, key_s,
    G: tl.constexpr, D: tl.constexpr, W: tl.constexpr, OWN: tl.constexpr, LIMITED: tl.constexpr,
    PADDED: tl.constexpr, LEAD: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dQ, D, and the adjoints of the own key and value (one for each query head)."""
    b, h, rows = program(R, H, BM)
    at, own_at, wide = (b * R * H + h) * W, (b * R * (H // G) + h // G) * W, H * W
    stat = (b * H + h) * R + rows
    key_at = b * key_b + h // G * key_h
    factor = scale * LOG2E
    q = load(Q + at, rows, wide, R, D, W, True)
    do = load(DOUT + at, rows, wide, R, D, W, True)
    lse = tl.load(LSE + stat, mask=rows < R, other=float("inf")) * LOG2E
    delta = dot(do, load(OUT + at, rows, wide, R, D, W, True))
    tl.store(DELTA + stat, delta, mask=rows < R)
    if OWN:
        own_k = load(OWN_K + own_at, rows, wide // G, R, D, W, True)
        own = tl.exp2(dot(q, own_k) * factor - lse)
        own_ds = own * (dot(do, load(OWN_V + own_at, rows, wide // G, R, D, W, True)) - delta)
        acc = own_ds[:, None] * own_k
        store(DOWN_K + at, rows, wide, R, (scale * own_ds)[:, None] * q, D, W)
        store(DOWN_V + at, rows, wide, R, own[:, None] * do, D, W)
    else:
        acc = tl.zeros([BM, D], tl.float32)
    last, first, begin, mixed, end = row_limits(
        AFTER, after_stride, FIRST, b, rows, R, P, S, LIMITED, PADDED, LEAD, BN
    )
    for phase in tl.static_range(2):
        low, high = (begin, mixed) if phase == 0 else (mixed, end)
        for j in range(low, high, BN):
            columns = j + tl.arange(0, BN)
            k = load(K + key_at, columns, key_s, S, D, W, phase == 1)
            v = load(V + key_at, columns, key_s, S, D, W, phase == 1)
            s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor
            p = tl.exp2(s - lse[:, None])
            if phase == 1:
                visible = seen(columns[None, :], last[:, None], first, PADDED, LEAD)
                p = tl.where(visible, p, 0.0)
            dp = tl.dot(do, tl.trans(v), input_precision=PRECISION)
            ds = p * (dp - delta[:, None])
            acc = tl.dot(ds.to(k.dtype), k, acc, input_precision=PRECISION)
    store(DQ + at, rows, wide, R, acc * scale, D, W)


@triton.jit(do_not_specialize=_SIZES)
def tangent_rows(
    Q, K, V, OWN_K, OWN_V, AFTER, FIRST, OUT, LSE, DOUT,
    Q_T, K_T, V_T, OWN_K_T, OWN_V_T, OUT_T, LSE_T, PRODUCT,
    scale, R, P, S, H, after_stride, key_b, key_h, key_s,
    G: tl.constexpr, D: tl.constexpr, W: tl.constexpr, OWN: tl.constexpr, LIMITED: tl.constexpr,
    PADDED: tl.constexpr, LEAD: tl.constexpr, MOVING: tl.constexpr, PRECISION: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """Ȯ, r and ⟨dO, Ȯ⟩; ``MOVING``: keys and values have tangents too."""
    b, h, rows = program(R, H, BM)
    at, own_at, wide = (b * R * H + h) * W, (b * R * (H // G) + h // G) * W, H * W
    stat = (b * H + h) * R + rows
    key_at = b * key_b + h // G * key_h
    factor = scale * LOG2E
    q = load(Q + at, rows, wide, R, D, W, True)
    q_t = load(Q_T + at, rows, wide, R, D, W, True)
    lse = tl.load(LSE + stat, mask=rows < R, other=float("inf")) * LOG2E
    r = tl.zeros([BM], tl.float32)
    acc = tl.zeros([BM, D], tl.float32)
    if OWN:
        own_k = load(OWN_K + own_at, rows, wide // G, R, D, W, True)
        own = tl.exp2(dot(q, own_k) * factor - lse)
        own_k_t = load(OWN_K_T + own_at, rows, wide // G, R, D, W, True)
        r = own * (dot(q_t, own_k) + dot(q, own_k_t)) * scale
        acc = r[:, None] * load(OWN_V + own_at, rows, wide // G, R, D, W, True)
        acc += own[:, None] * load(OWN_V_T + own_at, rows, wide // G, R, D, W, True)
    last, first, begin, mixed, end = row_limits(
        AFTER, after_stride, FIRST, b, rows, R, P, S, LIMITED, PADDED, LEAD, BN
    )
    for phase in tl.static_range(2):
        low, high = (begin, mixed) if phase == 0 else (mixed, end)
        for j in range(low, high, BN):
            columns = j + tl.arange(0, BN)
            k = load(K + key_at, columns, key_s, S, D, W, phase == 1)
            v = load(V + key_at, columns, key_s, S, D, W, phase == 1)
            s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor
            p = tl.exp2(s - lse[:, None])
            if phase == 1:
                visible = seen(columns[None, :], last[:, None], first, PADDED, LEAD)
                p = tl.where(visible, p, 0.0)
            slope = tl.dot(q_t, tl.trans(k), input_precision=PRECISION)
            if MOVING:
                k_t = load(K_T + key_at, columns, key_s, S, D, W, phase == 1)
                v_t = load(V_T + key_at, columns, key_s, S, D, W, phase == 1)
                slope = tl.dot(q, tl.trans(k_t), slope, input_precision=PRECISION)
                acc = tl.dot(p.to(v.dtype), v_t, acc, input_precision=PRECISION)
            moved = p * slope * scale
            r += tl.sum(moved, 1)
            acc = tl.dot(moved.to(v.dtype), v, acc, input_precision=PRECISION)
    acc -= r[:, None] * load(OUT + at, rows, wide, R, D, W, True)
    store(OUT_T + at, rows, wide, R, acc, D, W)
    tl.store(LSE_T + stat, r, mask=rows < R)
    product = dot(load(DOUT + at, rows, wide, R, D, W, True), acc)
    tl.store(PRODUCT + stat, product, mask=rows < R)


@triton.jit
def _own_adjoint(
    q, q_t, do, go, own_k, own_v, own_k_t, own_v_t, lse, delta, r, delta_t, scale,
    OUTER: tl.constexpr,
):  # fmt: skip
    """What the own key adds to gQ / τ, its own cotangent / τ, and its value's."""
    own = tl.exp2(dot(q, own_k) * scale * LOG2E - lse)
    own_t = own * ((dot(q_t, own_k) + dot(q, own_k_t)) * scale - r)
    above = dot(do, own_v) - delta
    above_t = dot(do, own_v_t) - delta_t
    gain_v = own_t[:, None] * do
    if OUTER:
        above_t += dot(go, own_v)
        gain_v += own[:, None] * go
    ds, ds_t = own * above, own_t * above + own * above_t
    gain_q = ds_t[:, None] * own_k + ds[:, None] * own_k_t
    return gain_q, ds_t[:, None] * q + ds[:, None] * q_t, gain_v


@triton.jit(do_not_specialize=_SIZES)
def adjoint_rows(
    Q, K, V, OWN_K, OWN_V, AFTER, FIRST, OUT, LSE, DOUT, DELTA,
    Q_T, K_T, V_T, OWN_K_T, OWN_V_T, LSE_T, PRODUCT, GOUT,
    GQ, GOWN_K, GOWN_V, DELTA_T,
    scale, R, P, S, H, after_stride, key_b, key_h, key_s,
    G: tl.constexpr, D: tl.constexpr, W: tl.constexpr, OWN: tl.constexpr, LIMITED: tl.constexpr,
    PADDED: tl.constexpr, LEAD: tl.constexpr, MOVING: tl.constexpr, OUTER: tl.constexpr,
    PRECISION: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """gQ, Ḋ, and the cotangents of the own key and value; ``OUTER``: there is a gO."""
    b, h, rows = program(R, H, BM)
    at, own_at, wide = (b * R * H + h) * W, (b * R * (H // G) + h // G) * W, H * W
    stat = (b * H + h) * R + rows
    key_at = b * key_b + h // G * key_h
    factor = scale * LOG2E
    q = load(Q + at, rows, wide, R, D, W, True)
    q_t = load(Q_T + at, rows, wide, R, D, W, True)
    do = load(DOUT + at, rows, wide, R, D, W, True)
    lse = tl.load(LSE + stat, mask=rows < R, other=float("inf")) * LOG2E
    delta = tl.load(DELTA + stat, mask=rows < R, other=0.0)
    r = tl.load(LSE_T + stat, mask=rows < R, other=0.0)
    delta_t = tl.load(PRODUCT + stat, mask=rows < R, other=0.0)
    go = load(GOUT + at, rows, wide, R, D, W, True) if OUTER else do
    if OUTER:
        delta_t += dot(go, load(OUT + at, rows, wide, R, D, W, True))
    tl.store(DELTA_T + stat, delta_t, mask=rows < R)
    acc = tl.zeros([BM, D], tl.float32)
    if OWN:
        own_k = load(OWN_K + own_at, rows, wide // G, R, D, W, True)
        own_v = load(OWN_V + own_at, rows, wide // G, R, D, W, True)
        own_k_t = load(OWN_K_T + own_at, rows, wide // G, R, D, W, True)
        own_v_t = load(OWN_V_T + own_at, rows, wide // G, R, D, W, True)
        acc, gain_k, gain_v = _own_adjoint(
            q, q_t, do, go, own_k, own_v, own_k_t, own_v_t, lse, delta, r, delta_t, scale, OUTER
        )
        store(GOWN_K + at, rows, wide, R, gain_k * scale, D, W)
        store(GOWN_V + at, rows, wide, R, gain_v, D, W)
    last, first, begin, mixed, end = row_limits(
        AFTER, after_stride, FIRST, b, rows, R, P, S, LIMITED, PADDED, LEAD, BN
    )
    for phase in tl.static_range(2):
        low, high = (begin, mixed) if phase == 0 else (mixed, end)
        for j in range(low, high, BN):
            columns = j + tl.arange(0, BN)
            k = load(K + key_at, columns, key_s, S, D, W, phase == 1)
            v = load(V + key_at, columns, key_s, S, D, W, phase == 1)
            s = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor
            p = tl.exp2(s - lse[:, None])
            if phase == 1:
                visible = seen(columns[None, :], last[:, None], first, PADDED, LEAD)
                p = tl.where(visible, p, 0.0)
            slope = tl.dot(q_t, tl.trans(k), input_precision=PRECISION)
            above = tl.dot(do, tl.trans(v), input_precision=PRECISION) - delta[:, None]
            v_t = load(V_T + key_at, columns, key_s, S, D, W, phase == 1) if MOVING else v
            if MOVING:
                k_t = load(K_T + key_at, columns, key_s, S, D, W, phase == 1)
                slope = tl.dot(q, tl.trans(k_t), slope, input_precision=PRECISION)
                acc = tl.dot((p * above).to(k.dtype), k_t, acc, input_precision=PRECISION)
            ds_t = (slope * scale - r[:, None]) * above - delta_t[:, None]
            if OUTER:
                ds_t = tl.dot(go, tl.trans(v), ds_t, input_precision=PRECISION)
            if MOVING:
                ds_t = tl.dot(do, tl.trans(v_t), ds_t, input_precision=PRECISION)
            acc = tl.dot((p * ds_t).to(k.dtype), k, acc, input_precision=PRECISION)
    store(GQ + at, rows, wide, R, acc * scale, D, W)
