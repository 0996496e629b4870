"""Parts that a model trains through: twice differentiable, and nothing detached on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from argmind import registry
from argmind.config import PartConfig, from_dict, to_dict
from argmind.errors import UserError
from argmind.nn.attention.reference import ReferenceAttention
from argmind.registry import Part, register
from argmind.thinking.landscape import Landscape, Slope
from argmind.thinking.rules.base import Rule
from argmind.thinking.thinker import ThinkingConfig
from conformance.parts import (
    MODEL_KINDS,
    Case,
    build_ebt,
    cases,
    predictor_config,
    swapped,
)
from conformance.second_order import check_energy, check_training_through_thinking


def trained_through(*kinds: str) -> list[Case]:
    return [
        case
        for case in cases(*kinds)
        if case.second_order != "none" and case.name != "transformer_pp"
    ]


@pytest.mark.parametrize("case", trained_through(*MODEL_KINDS), ids=str)
def test_energy_is_twice_differentiable(case: Case) -> None:
    check_energy(build_ebt(case))


@pytest.mark.parametrize("case", trained_through(*MODEL_KINDS, "rule", "schedule"), ids=str)
def test_training_through_thinking(case: Case) -> None:
    check_training_through_thinking(build_ebt(case))


@pytest.mark.parametrize("start", ["noise", "zeros"])
@pytest.mark.parametrize("case", cases("space"), ids=str)
def test_training_through_thinking_from_other_starts(case: Case, start: str) -> None:
    check_training_through_thinking(build_ebt(case, start=start))


def test_a_detached_inner_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Landscape.slope

    def detached(self: Landscape, y: Tensor, step: int, graph: bool) -> Slope:
        slope = whole(self, y, step, graph)
        return slope._replace(gradient=slope.gradient.detach())

    monkeypatch.setattr(Landscape, "slope", detached)
    for case in cases("space"):
        with pytest.raises(AssertionError):
            check_training_through_thinking(build_ebt(case))


# ---------------------------------------------------------------------- parts made up here


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test registers is gone after it."""
    for kind in registry.kinds():
        if kind in ("attention", "rule", "norm"):
            registry.names(kind)
    known = {kind: dict(names) for kind, names in registry._parts.items()}
    monkeypatch.setattr(registry, "_parts", known)


class _FirstOrderOnly(torch.autograd.Function):
    """Doubles; its backward is computed apart from autograd, as a kernel's would be."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * grad * x.detach()


@pytest.mark.usefixtures("fresh_registry")
def test_a_new_part_joins_the_suite() -> None:
    assert Case("attention", "toy") not in cases("attention")

    @register("attention", "toy")
    class Toy(ReferenceAttention):
        """Reference attention under another name."""

        @dataclass(frozen=True, kw_only=True)
        class Config(ReferenceAttention.Config):
            pass

    case = Case("attention", "toy")
    assert case in cases("attention")
    model = build_ebt(case)
    assert any(isinstance(module, Toy) for module in model.modules())
    check_energy(model)
    check_training_through_thinking(model)


@pytest.mark.usefixtures("fresh_registry")
def test_a_part_that_drops_second_derivatives_does_not_conform() -> None:
    @register("norm", "dropping")
    class Dropping(nn.Module, Part):
        """Squares every number, with a backward that is not differentiable."""

        @dataclass(frozen=True, kw_only=True)
        class Config(PartConfig):
            pass

        def __init__(self, config: Config, dim: int) -> None:  # noqa: ARG002
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return _FirstOrderOnly.apply(x)  # type: ignore[no-any-return]

    case = Case("norm", "dropping")
    with pytest.raises(AssertionError):
        check_training_through_thinking(build_ebt(case))


@pytest.mark.usefixtures("fresh_registry")
def test_a_part_without_second_order_is_refused_when_the_config_is_read() -> None:
    @register("attention", "kernel")
    class Kernel(ReferenceAttention):
        """Says that it cannot be differentiated twice."""

        second_order = "none"

        @dataclass(frozen=True, kw_only=True)
        class Config(ReferenceAttention.Config):
            pass

    @register("rule", "sign")
    class Sign(Rule):
        """Says that it cannot be differentiated twice."""

        second_order = "none"

        @dataclass(frozen=True, kw_only=True)
        class Config(PartConfig):
            pass

    plain = to_dict(predictor_config(Case("attention", "reference")))
    kind = plain.pop("kind")
    plain["body"]["transformer"]["attention"] = {"kind": "kernel"}
    with pytest.raises(UserError, match="attention 'kernel' has no second derivative"):
        from_dict(registry.find("predictor", kind).Config, plain)
    with pytest.raises(UserError, match="rule 'sign' has no second derivative"):
        from_dict(ThinkingConfig, {"rule": "sign"})
    # A model that does not think may use it.
    swapped(predictor_config(Case("predictor", "transformer_pp")), Case("attention", "kernel"))
