"""Compiled gradients are tested before they are trusted; sizes that cannot fit are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.kernels.attention.problem import Limits
from argmind.nn.attention.reference import ReferenceAttention
from argmind.nn.transformer import TransformerConfig
from argmind.objectives.base import Objective
from argmind.registry import register
from argmind.thinking.thinker import ThinkingConfig
from argmind.train import compiling
from argmind.train.compiling import LONG_RUN_STEPS, compiled, worth_compiling
from argmind.train.config import TrainingConfig
from argmind.train.distributed import World
from argmind.train.memory import LiveBytes, Need, needed, require_room
from argmind.train.selftest import Finding, _errors, compiled_gradients
from argmind.train.work import Work

from .toy import ToyObjective

CPU = torch.device("cpu")
VOCABULARY = 11


class _Softmax(torch.autograd.Function):
    """A softmax with two right derivatives, written as kernels are; not marked for compilers."""

    @staticmethod
    def forward(scores: Tensor) -> Tensor:
        return scores.softmax(-1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _Backward.apply(*ctx.saved_tensors, grad)  # type: ignore[no-any-return]


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(p: Tensor, grad: Tensor) -> Tensor:
        return p * (grad - (p * grad).sum(-1, keepdim=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor, Tensor]:
        p, grad = ctx.saved_tensors
        share = (p * along).sum(-1, keepdim=True)
        return along * (grad - (p * grad).sum(-1, keepdim=True)) - grad * share, p * (along - share)


class Dropped(ReferenceAttention):
    """Right uncompiled; compiled inside a gradient it loses its second derivative silently."""

    @dataclass(frozen=True, kw_only=True)
    class Config(ReferenceAttention.Config):
        pass

    def forward(
        self, q: Tensor, own_k: Tensor, own_v: Tensor, keys: Tensor, values: Tensor, limits: Limits
    ) -> Tensor:
        scale, mask = q.shape[-1] ** -0.5, limits.mask(q.shape[2], keys.shape[2])[:, None]
        scores = (q @ keys.transpose(-1, -2) * scale).masked_fill(~mask, float("-inf"))
        own = (q * own_k).sum(-1, keepdim=True) * scale
        shares = _Softmax.apply(torch.cat([scores, own], -1))
        return shares[..., :-1] @ values + shares[..., -1:] * own_v


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> Any:
    """The attention above is registered for these tests, and no part of any other."""
    register("attention", "dropped_by_compilers")(Dropped)
    yield
    from argmind import registry

    registry._parts["attention"].pop("dropped_by_compilers")


def objective(
    kind: str = "s1",
    attention: str = "reference",
    steps: int = 2,
    conditioning: str = "candidate",
    **options: Any,
) -> Objective[Any]:
    dims = TransformerConfig(
        num_layers=1, num_heads=2, hidden_dim=8, attention=part_config("attention", attention)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "cross_entropy":
            predictor = part_config("predictor", "transformer_pp", transformer=dims)
        else:
            told = part_config("conditioning", conditioning)
            body = part_config("body", "two_stream", transformer=dims, conditioning=told)
            predictor = part_config("predictor", "ebt", body=body)
        built = predictor.build(ThinkingConfig(steps=steps), vocab_size=VOCABULARY)
        with torch.no_grad():
            for weight in built.parameters():
                weight.add_(0.1 * torch.randn(weight.shape))
    return part_config("objective", kind, **options).build(built).train()


def batch(count: int = 4, length: int = 6) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"tokens": torch.randint(0, VOCABULARY, (count, length), generator=generator)}


def checked(it: Objective[Any], backend: str, precision: str = "fp32") -> Finding:
    torch._dynamo.reset()
    for stage in it.stages:
        stage.compile(backend)
    return compiled_gradients(it, batch(), Work(it, precision, CPU))


# ---------------------------------------------------------------------- the self-test


@pytest.mark.parametrize("kind", ["cross_entropy", "thinking"])
def test_compiled_gradients_are_the_plain_ones(kind: str) -> None:
    finding = checked(objective(kind), "aot_eager")
    assert finding.passed
    assert finding.error < 1e-4


def test_what_is_left_of_a_vanishing_gradient_is_rounding() -> None:
    truth = {"large": torch.ones(4), "small": torch.full((4,), 1e-5)}
    found = {"large": torch.ones(4), "small": torch.full((4,), 5e-5)}
    assert _errors(found, truth, 1e-2)["small"] < 5e-3
    assert _errors(found, truth, 1e-6)["small"] == pytest.approx(4, rel=1e-3)
    dropped = {"large": torch.zeros(4), "small": truth["small"]}
    assert _errors(dropped, truth, 1e-2) == pytest.approx({"large": 1, "small": 0}, rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_second_derivative_lost_in_compiling_is_noticed_and_explained(precision: str) -> None:
    it = objective(attention="dropped_by_compilers", steps=1)
    finding = checked(it, "aot_eager", precision)
    assert not finding.passed
    assert finding.error > 0.1
    assert finding.weight in dict(it.predictor.named_parameters())
    assert "uncompiled it is right" in finding.cause
    assert "allow_in_graph" in str(finding)


def test_a_compiled_stage_draws_what_the_plain_one_draws() -> None:
    it = objective("thinking", steps=1)
    it.predictor.thinker.config = ThinkingConfig(steps=1, start="noise")
    plain = it(batch(), torch.Generator().manual_seed(3)).value
    torch._dynamo.reset()
    for stage in it.stages:
        stage.compile(backend="eager")
    torch.testing.assert_close(it(batch(), torch.Generator().manual_seed(3)).value, plain)


@pytest.mark.parametrize(
    ("through", "conditioning"), [("all", "candidate"), ("none", "time_embed")]
)
def test_one_program_serves_all_steps(through: str, conditioning: str) -> None:
    programs: list[int] = []
    for steps in (2, 3):
        it = objective("thinking", steps=steps, conditioning=conditioning, through=through)
        torch._dynamo.reset()
        counter = CompileCounter()
        for stage in it.stages:
            stage.compile(counter)
        it(batch(), torch.Generator().manual_seed(0)).value.backward()
        programs.append(counter.frame_count)
    assert programs[0] == programs[1] <= len(it.stages) + 1


def test_a_step_that_is_a_tensor_is_the_step() -> None:
    it = objective("thinking", steps=3, conditioning="adaln", through="none")
    plain = it(batch(), torch.Generator()).value
    torch._dynamo.reset()
    for stage in it.stages:
        stage.compile("eager")
    compiled = it(batch(), torch.Generator()).value
    weights = list(it.parameters())
    found, wanted = (
        torch.autograd.grad(x, weights, allow_unused=True, materialize_grads=True)
        for x in (compiled, plain)
    )
    torch.testing.assert_close(compiled, plain)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


# ---------------------------------------------------------------------- what follows from it


def finding(error: float) -> Finding:
    return Finding("body.head.weight", error, 0.01, "the reason why.")


@pytest.mark.parametrize("error", [0.5, float("nan")])
def test_a_mismatch_refuses_or_goes_on_uncompiled(
    monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    monkeypatch.setattr(compiling, "compiled_gradients", lambda *_: finding(error))
    it, said = objective("cross_entropy"), list[str]()
    work = Work(it, "fp32", CPU)
    with pytest.raises(UserError, match=r"body\.head\.weight.*the reason why.*compile=off"):
        compiled(it, work, batch(), World(device=CPU), True, said.append)
    compiled(it, work, batch(), World(device=CPU), False, said.append)
    assert len(said) == 1
    assert "uncompiled" in said[0]
    assert all(stage._compiled is None for stage in it.stages)


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError])
def test_a_failing_compiler_is_no_traceback(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Finding:
        raise kind("\n  no C++ compiler found\nand more")

    monkeypatch.setattr(compiling, "compiled_gradients", fails)
    it = objective("cross_entropy")
    with pytest.raises(UserError, match=f"{kind.__name__}: no C\\+\\+ compiler found"):
        compiled(it, Work(it, "fp32", CPU), batch(), World(device=CPU), True, print)


def test_an_objective_without_stages_cannot_be_compiled() -> None:
    it = ToyObjective()
    with pytest.raises(UserError, match="ToyObjective has no stages"):
        compiled(it, Work(it, "fp32", CPU), {}, World(device=CPU), True, print)


def test_when_compiling_pays() -> None:
    cuda = torch.device("cuda", 0)
    assert worth_compiling("on", CPU, 1)
    assert not worth_compiling("off", cuda, 10**6)
    assert not worth_compiling("auto", CPU, 10**6)
    assert worth_compiling("auto", cuda, LONG_RUN_STEPS)
    assert not worth_compiling("auto", cuda, LONG_RUN_STEPS - 1)


def test_on_and_off_mean_what_yaml_makes_of_them() -> None:
    assert from_dict(TrainingConfig, {"compile": True}).compile == "on"
    assert from_dict(TrainingConfig, {"compile": False}).compile == "off"
    assert from_dict(TrainingConfig, {"compile": "auto"}).compile == "auto"
    with pytest.raises(UserError, match="compile"):
        from_dict(TrainingConfig, {"compile": "sometimes"})


# ---------------------------------------------------------------------- memory


@pytest.mark.parametrize("kind", ["cross_entropy", "thinking", "s1"])
def test_the_estimate_is_what_a_step_takes(kind: str) -> None:
    it = objective(kind)
    work = Work(it, "fp32", CPU)
    need = needed(it, batch(8, 17), work, held_copies=4)
    assert need is not None
    weights = list(it.parameters())
    size = sum(weight.nbytes for weight in weights)
    assert need.held_bytes == 4 * size
    work(batch(8, 17), torch.Generator(), 1)  # whatever a first call keeps
    for weight in weights:
        weight.grad = None
    with LiveBytes() as live:
        work(batch(8, 17), torch.Generator().manual_seed(0), 1)
    assert need.batch_bytes == pytest.approx(live.peak - size, rel=0.1)
    larger = needed(it, batch(16, 17), work, held_copies=4)
    assert larger is not None
    assert larger.batch_bytes == pytest.approx(2 * need.batch_bytes, rel=0.1)
    assert all(type(weight.grad) is Tensor for weight in weights)


def test_sizes_that_do_not_fit_are_refused_with_what_would() -> None:
    need = Need(held_bytes=2 * 2**30, batch_bytes=32 * 2**30)
    require_room(need, 34 * 2**30, 32, 1)
    with pytest.raises(UserError) as refused:
        require_room(need, 12 * 2**30, 32, 2)
    said = str(refused.value)
    assert "34.0 GiB" in said
    assert "12.0 GiB are free" in said
    assert "training.accumulate=8, which takes about 10.0 GiB" in said
    with pytest.raises(UserError, match="One sample at a time does not fit"):
        require_room(need, 2 * 2**30, 32, 1)
