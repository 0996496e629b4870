"""What the vocabulary step costs: one thinking step and the loss, and Transformer++'s loss.

    python benchmarks/vocabulary.py --json vocabulary.json

Every case is timed forward and backward under bf16 autocast, in plain PyTorch (``whole``), compiled
(``whole compiled``) and in chunks of several sizes. Times are medians; ``floor_ms`` is what the
products without any recomputation and the unavoidable traffic take at the rates below.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from argmind.kernels import vocabulary
from argmind.kernels.vocabulary import chunks

TOKENS = 8192
FLOP_PER_S = 790e12  # bf16 matrix products on an H200, measured
BYTES_PER_S = 4.0e12
STEP_SIZE = 0.3


@dataclass(frozen=True)
class Problem:
    """Inputs of one size."""

    vectors: Tensor  # (T, D)
    logits: Tensor  # (T, V)
    weight: Tensor  # (V, D)
    mixing: Tensor  # (D, D): stands for the model between embedding and energy
    target: Tensor

    @classmethod
    def draw(cls, tokens: int, size: int, dim: int, device: torch.device) -> Problem:
        """Random numbers of the spread that a model starts with."""
        generator = torch.Generator(device).manual_seed(0)

        def normal(*shape: int, **options: Any) -> Tensor:
            return torch.randn(shape, generator=generator, device=device, **options)

        return cls(
            normal(tokens, dim).requires_grad_(),
            normal(tokens, size, dtype=torch.bfloat16),
            (normal(size, dim) * dim**-0.5).requires_grad_(),
            normal(dim, dim) * dim**-0.5,
            torch.randint(size, (tokens,), generator=generator, device=device),
        )

    def energy(self, seen: Tensor) -> Tensor:
        """Of expected embeddings: anything with a second derivative."""
        return (seen @ self.mixing).tanh().square().sum()


def loss(x: Problem) -> Tensor:
    """Transformer++'s."""
    return vocabulary.token_loss(x.vectors, x.weight, x.target).mean()


def mirror(x: Problem) -> Tensor:
    """Mirror descent."""
    point = vocabulary.expected_embedding(x.vectors, x.weight, x.weight)
    moved = x.vectors - STEP_SIZE * torch.func.grad(x.energy)(point)
    return vocabulary.token_loss(moved, x.weight, x.target).mean()


def dual(x: Problem) -> Tensor:
    """Descent on a vector that is seen with its expected embedding."""

    def energy(s: Tensor) -> Tensor:
        return x.energy(s + vocabulary.expected_embedding(s, x.weight, x.weight))

    moved = x.vectors - STEP_SIZE * torch.func.grad(energy)(x.vectors)
    return vocabulary.token_loss(moved, x.weight, x.target).mean()


def published(x: Problem) -> Tensor:
    """The published geometry on bfloat16 candidates."""
    point = vocabulary.expected_embedding(x.logits, None, x.weight)
    gradient = torch.func.grad(x.energy)(point)
    moved = vocabulary.simplex_step(x.logits, STEP_SIZE * gradient, x.weight)
    return vocabulary.token_loss(moved, None, x.target).mean()


def euclidean(x: Problem) -> Tensor:
    """Descent on bfloat16 logits."""

    def energy(y: Tensor) -> Tensor:
        return x.energy(vocabulary.expected_embedding(y, None, x.weight))

    moved = x.logits - STEP_SIZE * torch.func.grad(energy)(x.logits)
    return vocabulary.token_loss(moved, None, x.target).mean()


#: Products of 2·T·V·D FLOPs forward and backward, and passes over (T, V) numbers of two bytes:
#: the start read; the next candidate written, read by the loss and its backward; its gradient
#: written and read.
STEPS: dict[str, tuple[Callable[[Problem], Tensor], int, int]] = {
    "loss": (loss, 3, 0),
    "mirror": (mirror, 9, 0),
    "dual": (dual, 15, 0),
    "published": (published, 5, 6),
    "euclidean": (euclidean, 5, 6),
}


def floor_ms(name: str, tokens: int, size: int, dim: int) -> float:
    """No faster than this, whatever is done."""
    _, products, passes = STEPS[name]
    multiply = products * 2.0 * tokens * size * dim / FLOP_PER_S
    return 1e3 * max(multiply, passes * 2.0 * tokens * size / BYTES_PER_S)


def measure(step: Callable[[Problem], Tensor], problem: Problem, repeats: int) -> dict[str, float]:
    """Median milliseconds, and GiB beyond what is there anyway."""
    device = problem.weight.device
    cuda = device.type == "cuda"

    def once() -> float:
        problem.weight.grad = problem.vectors.grad = None
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16):
            value = step(problem)
        value.backward()
        if cuda:
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - began)

    for _ in range(2):
        once()
    before = torch.cuda.memory_allocated() if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times_ms = [once() for _ in range(repeats)]
    peak = torch.cuda.max_memory_allocated() - before if cuda else 0
    return {"ms": round(statistics.median(times_ms), 3), "gib": round(peak / 2**30, 3)}


def forms(arguments: argparse.Namespace, size: int) -> list[tuple[str, int | None, bool]]:
    """(name, rows at a time or None for whole, compiled)."""
    chosen: list[tuple[str, int | None, bool]] = [("whole", None, False)]
    chosen += [(f"chunks of {rows}", rows, False) for rows in arguments.rows]
    if arguments.compiled and (arguments.compiled_size in (None, size)):
        chosen.append(("whole compiled", None, True))
        chosen += [(f"chunks of {rows} compiled", rows, True) for rows in arguments.rows_compiled]
    return chosen


def run(arguments: argparse.Namespace) -> None:
    """All cases, written after each."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    cases: list[dict[str, Any]] = []
    result = {"command": " ".join(sys.argv), "machine": machine, "torch": torch.__version__}
    result |= {"tokens": arguments.tokens, "cases": cases}
    for size in arguments.vocabulary:
        for dim in arguments.dim:
            problem = Problem.draw(arguments.tokens, size, dim, device)
            for name in arguments.cases:
                for form, rows, compiled in forms(arguments, size):
                    chunks.WHOLE_NUMBERS = sys.maxsize if rows is None else -1
                    chunks.CHUNK_NUMBERS, chunks.CHUNKS_OF_A_GPU = (rows or 1) * size, 2**62
                    step = STEPS[name][0]
                    if compiled:
                        torch.compiler.reset()
                        step = torch.compile(step, fullgraph=True, dynamic=False)
                    least = floor_ms(name, arguments.tokens, size, dim)
                    row = {"case": name, "vocabulary": size, "dim": dim, "form": form}
                    row |= measure(step, problem, arguments.repeats)
                    row |= {"floor_ms": round(least, 3), "of_floor": round(least / row["ms"], 3)}
                    cases.append(row)
                    print(*row.values(), sep="\t", flush=True)
                    if arguments.json is not None:
                        arguments.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[4096, 50277])
    parser.add_argument("--dim", type=int, nargs="+", default=[384, 768])
    parser.add_argument("--cases", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--rows", type=int, nargs="*", default=[256, 512, 1280, 4096])
    parser.add_argument("--rows-compiled", type=int, nargs="*", default=[1280])
    parser.add_argument("--compiled", action="store_true", help="time compiled forms too")
    parser.add_argument("--compiled-size", type=int, help="only for this vocabulary")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
