"""The chunked vocabulary step equals plain PyTorch, in both derivatives, and keeps less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradgradcheck
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from vocabulary_cases import CASES, DIM, ROWS, VOCABULARY, Case, derivatives, targets

from argmind.kernels import vocabulary
from argmind.kernels.vocabulary import chunks, expected
from graph_nodes import node_names

Chosen = Callable[[int, int], None]
every = pytest.mark.parametrize("case", CASES, ids=str)


@every
def test_plain_pytorch_over_aligned_tokens(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "unaligned", lambda *_: True)
    found = derivatives(case.chunked(targets()), case.tensors())
    wanted = derivatives(case.plain(targets()), case.tensors())
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@every
@pytest.mark.parametrize("rows", [1, 4, ROWS])
def test_value_and_both_derivatives(case: Case, rows: int, rows_at_a_time: Chosen) -> None:
    rows_at_a_time(rows, VOCABULARY)
    found = derivatives(case.chunked(targets()), case.tensors())
    wanted = derivatives(case.plain(targets()), case.tensors())
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("candidates_begin_aligned")
@pytest.mark.parametrize("case", [case for case in CASES if case.shapes[0] == ("T", "V")], ids=str)
@pytest.mark.parametrize("rows", [4, ROWS])
@pytest.mark.parametrize("size", [VOCABULARY, 70])
def test_candidates_that_begin_at_aligned_places(
    case: Case, rows: int, size: int, rows_at_a_time: Chosen
) -> None:
    """What stands behind them counts nothing and stays as it is; gradients lie as they do."""
    rows_at_a_time(rows, size)
    y, *rest = case.tensors(sizes={"V": size})
    room = torch.full((ROWS, chunks.padded(size)), torch.nan, dtype=y.dtype)
    aligned = room[:, :size].copy_(y.detach()).requires_grad_()
    assert chunks.lies_aligned(aligned)
    found = derivatives(case.chunked(targets()), (aligned, *rest))
    for x, z in zip(found, derivatives(case.plain(targets()), (y, *rest)), strict=True):
        torch.testing.assert_close(x, z, rtol=1e-10, atol=1e-12)
    assert room[:, size:].isnan().all()
    value = case.chunked(targets())(aligned, *rest).sin().sum()
    (first,) = torch.autograd.grad(value, aligned, create_graph=True)
    assert chunks.lies_aligned(first)


@pytest.mark.usefixtures("candidates_begin_aligned")
def test_only_many_aligned_candidates_are_judged_by_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    y = CASES[3].tensors()[0].detach()
    aligned = chunks.room_like(torch.empty(ROWS, 64, dtype=y.dtype)[:, :VOCABULARY]).copy_(y)
    assert chunks.lies_aligned(aligned)
    monkeypatch.setattr(vocabulary, "loss_fits", lambda *_: True)
    few = vocabulary.token_loss(aligned.requires_grad_(), None, targets())
    assert "Value" not in str(node_names(few))
    monkeypatch.setattr(chunks, "WHOLE_NUMBERS", -1)
    many = vocabulary.token_loss(aligned, None, targets())
    assert "Value" in str(node_names(many))
    torch.testing.assert_close(many, few)
    packed = vocabulary.token_loss(aligned.detach().contiguous().requires_grad_(), None, targets())
    assert "Value" not in str(node_names(packed))


@pytest.mark.usefixtures("candidates_begin_aligned")
def test_a_start_takes_the_layout_of_a_step(rows_at_a_time: Chosen) -> None:
    y, d, e = (x.detach() for x in CASES[-1].tensors())
    assert vocabulary.stepped(y.T.contiguous().T).is_contiguous()  # few: kept whole
    rows_at_a_time(4, VOCABULARY)
    moved = vocabulary.simplex_step(y[None], d[None], e)
    start = vocabulary.stepped(y[None])
    assert start.stride() == moved.stride() != y[None].stride()
    assert torch.equal(start, y[None])
    assert vocabulary.stepped(start) is start


@every
def test_second_derivatives_by_finite_differences(case: Case, rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, VOCABULARY)
    assert gradgradcheck(case.chunked(targets()), case.tensors(), fast_mode=True)


@every
def test_each_input_alone(case: Case, rows_at_a_time: Chosen) -> None:
    """Constants among the inputs: their gradients are left out, in both derivatives."""
    rows_at_a_time(4, VOCABULARY)
    for index in range(len(case.shapes)):
        inputs = case.tensors()

        def alone(function: Callable[..., Tensor], place: int = index) -> Callable[..., Tensor]:
            rest = [y.detach() for y in case.tensors()]
            return lambda own: function(*rest[:place], own, *rest[place + 1 :])

        one = (inputs[index],)
        found = derivatives(alone(case.chunked(targets())), one)
        wanted = derivatives(alone(case.plain(targets())), one)
        for x, y in zip(found, wanted, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@every
def test_no_rows(case: Case, rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, VOCABULARY)
    for x in derivatives(case.chunked(targets(0)), case.tensors(rows=0))[1:]:
        assert not x.any()


def test_leading_axes(rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, VOCABULARY)
    s, w, e = CASES[0].tensors()
    flat = vocabulary.expected_embedding(s, w, e)
    assert torch.equal(vocabulary.expected_embedding(s.view(2, 1, 3, -1), w, e).view_as(flat), flat)
    loss = vocabulary.token_loss(s.view(2, 1, 3, -1), w, targets().view(2, 1, 3))
    assert loss.shape == (2, 1, 3)


def test_logits_whose_rows_lie_apart(rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, VOCABULARY)
    y, e = CASES[3].tensors()
    apart = torch.cat([y, y], -1)[:, :VOCABULARY]
    columns = y.T.contiguous().T
    for x in (apart, columns):
        found = vocabulary.expected_embedding(x, None, e)
        torch.testing.assert_close(found, vocabulary.expected_embedding(y, None, e))


@every
def test_inner_gradients_by_torch_func(case: Case, rows_at_a_time: Chosen) -> None:
    """As a training step takes them: inside of it, by ``torch.func.grad`` of the first input."""
    rows_at_a_time(4, VOCABULARY)

    def outer(function: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        first, *rest = case.tensors()
        inner = torch.func.grad(lambda x: function(x, *rest).sin().sum())(first)
        return torch.autograd.grad((inner.cos() * first).sum(), (first, *rest))

    for x, y in zip(outer(case.chunked(targets())), outer(case.plain(targets())), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("way", ["autograd", "func"])
def test_an_inner_gradient_leaves_the_weights_alone(
    way: str, rows_at_a_time: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_at_a_time(4, VOCABULARY)
    done: list[int] = []
    add = expected.add_outer
    monkeypatch.setattr(expected, "add_outer", lambda *x: (done.append(1), add(*x)))
    s, w, e = CASES[0].tensors()

    def energy(s: Tensor) -> Tensor:
        return vocabulary.expected_embedding(s, w * 1, e).square().sum()

    if way == "func":
        gradient = torch.func.grad(energy)(s)
    else:
        (gradient,) = torch.autograd.grad(energy(s), s, create_graph=True)
    assert not done
    gradient.square().sum().backward()
    assert done


@every
def test_a_third_derivative_is_refused(case: Case, rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, VOCABULARY)
    first, *rest = case.tensors()
    value = case.chunked(targets())(first, *rest).sin().sum()
    for _ in range(2):
        (gradient,) = torch.autograd.grad(value, first, create_graph=True)
        value = gradient.sin().sum()
    with pytest.raises(RuntimeError, match="no third derivative"):
        torch.autograd.grad(value, first)


@every
def test_bfloat16_under_autocast_is_close(case: Case, rows_at_a_time: Chosen) -> None:
    sizes = {"V": 200, "D": 32}
    rows_at_a_time(16, 200)
    target = targets(40, 200)
    wanted = derivatives(case.plain(target), case.tensors(40, sizes=sizes))
    narrow = case.tensors(40, sizes=sizes, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = derivatives(case.chunked(target), narrow)
    for x, y in zip(found, wanted, strict=True):
        assert (x.double() - y).norm() <= 0.03 * y.norm()


def test_few_numbers_are_kept_and_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "WHOLE_NUMBERS", ROWS * VOCABULARY)
    case = CASES[0]
    assert "Softmax" in str(node_names(case.chunked(targets())(*case.tensors())))
    more = case.chunked(targets(ROWS + 1))(*case.tensors(ROWS + 1))
    assert "Softmax" not in str(node_names(more))


def test_a_compiled_loss_may_keep_more(monkeypatch: pytest.MonkeyPatch) -> None:
    most = chunks.WHOLE_COMPILED_LOSS_NUMBERS
    for device, kept in (("cuda", True), ("cpu", False)):
        assert not chunks.loss_fits(1, most, torch.device(device))
        with monkeypatch.context() as compiling:
            compiling.setattr(torch.compiler, "is_compiling", lambda: True)
            assert chunks.loss_fits(1, most, torch.device(device)) == kept
            assert not chunks.loss_fits(1, most + 1, torch.device(device))


def test_logits_of_a_step_are_kept_where_a_gpu_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_total_bytes", lambda _: 141 * 2**30)
    with FakeTensorMode():
        on_gpu, on_cpu = (torch.empty(1, dtype=torch.bfloat16, device=d) for d in ("cuda", "cpu"))
    assert chunks.logits_fit(8192, 50_277, on_gpu)
    assert not chunks.logits_fit(8192, 50_277, on_cpu)
    assert not chunks.logits_fit(65_536, 50_277, on_gpu)


@pytest.mark.parametrize("case", CASES[:3], ids=str)
@pytest.mark.parametrize("rows", [4, ROWS])
def test_kept_logits_give_the_same(
    case: Case, rows: int, rows_at_a_time: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_at_a_time(rows, VOCABULARY)
    monkeypatch.setattr(vocabulary, "logits_fit", lambda *_: True)
    kept: list[torch.Size] = []
    with saved_tensors_hooks(lambda x: (kept.append(x.shape), x)[1], lambda x: x):
        found = derivatives(case.chunked(targets()), case.tensors())
    wanted = derivatives(case.plain(targets()), case.tensors())
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-10, atol=1e-12)
    assert (ROWS, chunks.padded(VOCABULARY)) in kept
    assert gradgradcheck(case.chunked(targets()), case.tensors(), fast_mode=True)


def test_logits_over_aligned_tokens_are_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    s = torch.randn(2, 80, DIM, generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.randn(VOCABULARY, DIM, generator=generator, dtype=torch.float64, requires_grad=True)
    plain = vocabulary.logits(s, w)
    monkeypatch.setattr(vocabulary, "unaligned", lambda *_: True)
    aligned = vocabulary.logits(s, w)
    assert aligned.shape == (2, 80, VOCABULARY)
    torch.testing.assert_close(aligned, plain)
    found, wanted = (torch.autograd.grad(x.square().sum(), (s, w)) for x in (aligned, plain))
    torch.testing.assert_close(found, wanted)


# ---------------------------------------------------------------------- memory

#: Many rows and tokens, few features: a tensor of rows × tokens is larger than everything else.
SIZES = {"V": 300, "D": 2}
MANY = 400


class Largest(TorchDispatchMode):
    """The most numbers in any tensor that an operator gives."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self.numbers = max(self.numbers, x.numel())
        return out


@pytest.mark.parametrize("case", [x for x in CASES if x.shapes[0] == ("T", "D")], ids=str)
def test_nothing_of_rows_times_tokens_is_kept_or_made(case: Case, rows_at_a_time: Chosen) -> None:
    rows_at_a_time(4, SIZES["V"])
    inputs, target = case.tensors(MANY, sizes=SIZES), targets(MANY, SIZES["V"])
    kept: list[int] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    with Largest() as largest, saved_tensors_hooks(keep, lambda x: x):
        derivatives(case.chunked(target), inputs)
    columns = chunks.padded(SIZES["V"])
    assert largest.numbers <= max(4 * columns, MANY * SIZES["D"], columns * SIZES["D"])
    # Twenty times the inputs: far below one tensor of rows × tokens, were there few features.
    assert sum(kept) <= 20 * sum(x.numel() for x in inputs)
    assert max(kept) < MANY * SIZES["V"] / 100


@pytest.mark.parametrize("case", [x for x in CASES if x.shapes[0] == ("T", "V")], ids=str)
def test_of_logits_only_themselves_are_kept(case: Case, rows_at_a_time: Chosen) -> None:
    """After a step from y, y lives on, and no probabilities beside it."""
    rows_at_a_time(4, SIZES["V"])
    inputs, target = case.tensors(MANY, sizes=SIZES), targets(MANY, SIZES["V"])
    kept: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    with saved_tensors_hooks(keep, lambda x: x):
        case.chunked(target)(*inputs)
    large = [x for x in kept if x.numel() >= MANY * SIZES["V"]]
    assert {x.data_ptr() for x in large} == {inputs[0].data_ptr()}


def test_largest_sees_what_plain_pytorch_makes() -> None:
    case = CASES[0]
    with Largest() as largest:
        derivatives(case.plain(targets(MANY)), case.tensors(MANY, sizes=SIZES))
    assert largest.numbers == MANY * SIZES["V"]


def test_products_of_narrow_types_are_summed_wide() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(64, n, generator=generator).bfloat16() for n in (5, DIM))
    total = torch.zeros(5, DIM)
    for _ in range(300):
        chunks.add_outer(total, a, b)
    torch.testing.assert_close(total, 300 * (a.T @ b).float(), rtol=1e-5, atol=1e-4)
