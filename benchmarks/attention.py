"""How fast is attention that is differentiated twice, against holding its scores?

Times the four functions of ``argmind.kernels.attention`` one by one (replayed as CUDA graphs, so
without the cost of launching), and one whole thinking step of one layer by autograd: forward, inner
gradient, and the backward pass through both. The rivals hold their scores: ``reference`` for
candidates over a context, PyTorch's SDPA (its math form, the only one with a second derivative) for
rows that all see each other.

    python benchmarks/attention.py --out docs/results/attention.json

Medians in ms; TFLOP/s counts the matrix products that the formulas need over the pairs that see
each other. A rival that runs out of memory is null. About a minute on an H200.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from argmind.kernels.attention.choice import why_not_triton
from argmind.kernels.attention.pair import attend
from argmind.kernels.attention.problem import Limits, Problem, Vectors
from argmind.nn.attention.reference import ReferenceAttention

SIZES = ((32, 256), (8, 1024), (2, 4096), (1, 16384))
#: Matrix products a pair of rows needs, by form: forward, inner, tangent, second with outer.
PRODUCTS = {"candidate": (2, 3, 3, 13), "full": (2, 7, 5, 15)}
SWEEPS = ("forward", "inner_backward", "tangent", "second_adjoint")
DEVICE = torch.device("cuda")


@dataclass(frozen=True)
class Setting:
    """One problem: ``candidate`` rows over a causal context, or ``full``, all over all."""

    form: str
    batch: int
    length: int
    heads: int
    head_size: int

    def rows(self) -> Tensor:
        shape = (self.batch, self.length, self.heads, self.head_size)
        return torch.randn(shape, device=DEVICE, dtype=torch.bfloat16).transpose(1, 2)

    def problem(self) -> Problem:
        if self.form == "full":
            return Problem(self.rows(), self.rows(), self.rows())
        after = torch.arange(self.length, device=DEVICE).expand(self.batch, self.length)
        return Problem(*(self.rows() for _ in range(5)), Limits(after))

    def product_flops(self) -> float:
        """One matrix product over the pairs that see each other."""
        length = self.length
        pairs = length**2 if self.form == "full" else length * (length + 1) / 2
        return 2.0 * self.batch * self.heads * pairs * self.head_size


def sweeps(setting: Setting) -> dict[str, Callable[[], Any]]:
    """The four functions, as an explicit engine calls them."""
    from argmind.kernels.attention import launch  # needs Triton

    problem, dout, gout = setting.problem(), setting.rows(), setting.rows()
    candidate = setting.form == "candidate"
    tangents = [setting.rows() for _ in range(5)]
    along = Vectors(*tangents)._replace(keys=None, values=None)
    if not candidate:
        along = Vectors(*tangents[:3], None, None)
    done = launch.forward(problem)
    delta = launch.inner_backward(problem, *done, dout, False).delta
    moved = launch.tangent(problem, *done, dout, along)

    def second() -> Vectors:
        return launch.second_adjoint(problem, done, dout, delta, along, moved, gout, True)

    return {
        "forward": lambda: launch.forward(problem),
        "inner_backward": lambda: launch.inner_backward(problem, *done, dout, not candidate),
        "tangent": lambda: launch.tangent(problem, *done, dout, along),
        "second_adjoint": second,
    }


def held(setting: Setting) -> Callable[..., Tensor]:
    """The rival that holds its scores."""
    truth = ReferenceAttention(ReferenceAttention.Config())
    if setting.form == "candidate":
        return lambda q, k, v, own_k, own_v, limits: truth(q, own_k, own_v, k, v, limits)

    def sdpa(q: Tensor, k: Tensor, v: Tensor, *_: None) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(q, k, v)

    return sdpa


def thinking_step(setting: Setting, attention: Callable[..., Tensor]) -> Callable[[], Any]:
    """Forward, inner gradient and the backward pass through both, of one layer."""
    *tensors, limits = setting.problem()
    given = [None if x is None else x.detach().requires_grad_() for x in tensors]
    dout = setting.rows().requires_grad_()
    leaves = [x for x in (*given, dout) if x is not None]
    # Any cotangents will do; the tensors themselves cost no memory.
    along = [dout.detach(), *(x.detach() for x in _candidates(setting, given))]

    def step() -> Any:
        # Context keys come from a projection: they are no leaves, and a thinking step can tell.
        inputs = [None if x is None else x.view_as(x) for x in given]
        out = attention(*inputs, limits)
        y = _candidates(setting, inputs)
        adjoints = torch.autograd.grad(out, y, dout, create_graph=True)
        return torch.autograd.grad([out, *adjoints], leaves, along)

    return step


def _candidates(setting: Setting, tensors: list[Tensor | None]) -> list[Tensor]:
    """Those of q, keys, values, own key and value that depend on a candidate."""
    q, keys, values, *own = tensors
    chosen = (q, keys, values) if setting.form == "full" else (q, *own)
    return [x for x in chosen if x is not None]


def milliseconds(work: Callable[[], Any], repeats: int = 10) -> float:
    """Median time of a call, by events on the device."""
    for _ in range(3):
        work()
    times: list[float] = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def replayed_milliseconds(work: Callable[[], Any], calls: int = 5) -> float:
    """Median time of a call inside a CUDA graph of several."""
    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            work()
    return milliseconds(graph.replay) / calls


def whole(setting: Setting, attention: Callable[..., Tensor]) -> dict[str, float] | None:
    """Time and memory of a thinking step; None where it does not fit."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    try:
        ms = milliseconds(thinking_step(setting, attention))
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    return {"ms": ms, "gib": torch.cuda.max_memory_allocated() / 2**30}


def measure(setting: Setting) -> dict[str, Any]:
    """Everything about one setting."""
    found: dict[str, Any] = dict(vars(setting))
    products = dict(zip(SWEEPS, PRODUCTS[setting.form], strict=True))
    total = 0.0
    for name, work in sweeps(setting).items():
        ms = replayed_milliseconds(work)
        total += ms
        tflops = products[name] * setting.product_flops() / ms / 1e9
        found[name] = {"ms": ms, "tflops": tflops}
    found["four_ms"] = total
    found["fused_step"] = whole(
        setting, lambda q, k, v, own_k, own_v, limits: attend(q, k, v, own_k, own_v, limits)
    )
    found["held_step"] = whole(setting, held(setting))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--head-size", type=int, default=64)
    args = parser.parse_args()
    reason = (
        why_not_triton(DEVICE, torch.bfloat16, args.head_size)
        if torch.cuda.is_available()
        else "the kernels need a CUDA GPU"
    )
    if reason:
        print(f"nothing to measure here: {reason}", file=sys.stderr)
        return 2
    figures: list[dict[str, Any]] = []
    for form in PRODUCTS:
        for batch, length in SIZES:
            found = measure(Setting(form, batch, length, args.heads, args.head_size))
            figures.append(found)
            parts = ", ".join(
                f"{n} {found[n]['ms']:.3f} ({found[n]['tflops']:.0f})" for n in SWEEPS
            )
            steps = [found["fused_step"], found["held_step"]]
            said = " against ".join(
                "out of memory" if s is None else f"{s['ms']:.2f} ms, {s['gib']:.2f} GiB"
                for s in steps
            )
            print(
                f"{form} B{batch} S{length}: {parts}; four {found['four_ms']:.3f}; step {said}",
                flush=True,
            )
    if args.out:
        where = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"machine": where, "figures": figures}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
