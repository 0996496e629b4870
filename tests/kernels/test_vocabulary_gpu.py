"""The Triton forms of row operations equal the plain ones, and whole functions their reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from vocabulary_cases import CASES, Case, derivatives, targets

from argmind.kernels import vocabulary
from argmind.kernels.vocabulary import noise, rows
from argmind.kernels.vocabulary.chunks import padded

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

Chosen = Callable[[int, int], None]
#: Rows that start at odd places, and end within a block.
ROWS, VOCABULARY = 5, 9001
#: Logits of vectors with 64 features then have a standard deviation of 1.
SCALE = 64**-0.25
NAMES = (
    *("softmax", "adjoint", "adjoint alone", "tangent", "second", "second with a further tangent"),
    *("score", "surprise", "descend", "softmax_adjoint"),
)
TYPES = {torch.float32: 2e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def draw(*shape: int, dtype: torch.dtype, seed: int) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(shape, generator=generator, device="cuda").to(dtype)


def operations(dtype: torch.dtype, width: int) -> dict[str, Callable[[], Any]]:
    """Each row operation on random rows, of logits as given or in a buffer."""
    x, xd = (draw(ROWS, width, dtype=dtype, seed=seed) for seed in range(2))
    dp, dpd = (draw(ROWS, padded(VOCABULARY), dtype=dtype, seed=seed) for seed in (2, 3))
    given = x[:, :VOCABULARY]
    lse, mean = given.double().logsumexp(-1).float(), draw(ROWS, dtype=torch.float32, seed=5)
    means, size = (mean, mean + 1, mean - 1), VOCABULARY
    target = torch.arange(ROWS, device="cuda") * 1000
    p = torch.nn.functional.pad(given.float().softmax(-1), (0, padded(size) - size)).to(dtype)

    def filled(function: Callable[..., None], *inputs: Any) -> Tensor:
        out = torch.empty_like(given)
        function(*inputs, out)
        return out

    return {
        "softmax": lambda: rows.softmax(x, size, dtype),
        "adjoint": lambda: rows.adjoint(x, size, lse, dp.clone(), mean, True),
        "adjoint alone": lambda: rows.adjoint(x, size, lse, dp.clone(), mean, False)[1],
        "tangent": lambda: rows.tangent(x, size, lse, xd, dtype),
        "second": lambda: rows.second(p, size, xd, dp.clone(), None, means),
        "second with a further tangent": lambda: rows.second(p, size, xd, dp.clone(), dpd, means),
        "score": lambda: rows.score(x, size, target),
        "surprise": lambda: filled(rows.surprise, x, lse, target, mean, size),
        "descend": lambda: filled(rows.descend, given, dp),
        "softmax_adjoint": lambda: filled(rows.softmax_adjoint, given, xd[:, :size]),
    }


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [VOCABULARY, padded(VOCABULARY)])
def test_a_row_operation(
    name: str, dtype: torch.dtype, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = operations(dtype, width)[name]
    assert rows.kernels(torch.empty(1, device="cuda")) is not None
    found = operation()
    monkeypatch.setattr(rows, "kernels", lambda *_: None)
    wanted = operation()
    for x, y in zip(_several(found), _several(wanted), strict=True):
        scale = y.double().norm() + 1e-12
        assert (x.double() - y.double()).norm() <= TYPES[dtype] * scale


def _several(x: Any) -> tuple[Tensor, ...]:
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("kind", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("keeps", [False, True])
def test_both_derivatives(
    case: Case, kind: str, keeps: bool, rows_at_a_time: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, count = {"V": 1003, "D": 64}, 50
    target = targets(count, 1003)
    wanted = derivatives(case.plain(target), case.tensors(count, sizes=sizes, scale=SCALE))
    rows_at_a_time(17, 1003)
    monkeypatch.setattr(vocabulary, "logits_fit", lambda *_: keeps)
    dtype = torch.float64 if kind == "float64" else torch.float32
    inputs = case.tensors(count, sizes=sizes, scale=SCALE, device="cuda", dtype=dtype)
    with torch.autocast("cuda", torch.bfloat16, enabled=kind == "bfloat16"):
        found = derivatives(case.chunked(target.cuda()), inputs)
    close = {"float64": 1e-10, "float32": 1e-4, "bfloat16": 0.04}[kind]
    for x, y in zip(found, wanted, strict=True):
        assert (x.cpu().double() - y).norm() <= close * y.norm()


def test_rows_that_begin_aligned_are_read_to_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands behind them, here no numbers at all, counts nothing."""
    width = padded(VOCABULARY)
    room = torch.full((5, ROWS, width), torch.nan, device="cuda", dtype=torch.bfloat16)
    x, xd, out = room[:3].unbind()
    for one in (x, xd):
        one[:, :VOCABULARY] = draw(ROWS, VOCABULARY, dtype=torch.bfloat16, seed=len(one))
    x, xd, out = (one[:, :VOCABULARY] for one in (x, xd, out))
    lse, target = x.double().logsumexp(-1).float(), torch.arange(ROWS, device="cuda") * 1000
    dp = draw(ROWS, width, dtype=torch.bfloat16, seed=3)

    def everything() -> list[Tensor]:
        found = [*rows.softmax(x, VOCABULARY, x.dtype), *rows.score(x, VOCABULARY, target)]
        p, h, r = rows.tangent(x, VOCABULARY, lse, xd, x.dtype)
        found += [p, h, r, *rows.second(p, VOCABULARY, xd, dp.clone(), None, (r, lse, lse))]
        for function, *given in (
            (rows.surprise, x, lse, target, lse, VOCABULARY),
            (rows.descend, x, dp),
            (rows.softmax_adjoint, x, xd),
        ):
            function(*given, out)
            found.append(out.clone())
        return found

    found = everything()
    monkeypatch.setattr(rows, "kernels", lambda *_: None)
    for one, other in zip(found, everything(), strict=True):
        assert (one.double() - other.double()).norm() <= 2e-2 * other.double().norm()


def test_a_target_that_is_no_token_gives_no_number() -> None:
    x = draw(2, 300, dtype=torch.float32, seed=0)
    _, picked = rows.score(x, 300, torch.tensor([300, 5], device="cuda"))
    assert picked.isnan().tolist() == [True, False]


def test_noise_is_that_of_the_cpu() -> None:
    keys = torch.tensor([[1, 2], [0xFFFFFFFF, 0x80000000]])
    here = torch.ops.argmind.counted_normal(keys, 3, VOCABULARY, 2.0, torch.float32)
    there = torch.ops.argmind.counted_normal(keys.cuda(), 3, VOCABULARY, 2.0, torch.float32)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-5)
    assert noise.counted_normal((1, 2, 5), 1.0, None, there, torch.bfloat16).is_cuda
