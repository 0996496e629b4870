"""Every registered part in a tiny float64 model: what the conformance suite runs over."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import override, part_config
from argmind.nn.transformer import TransformerConfig
from argmind.objectives.base import Objective
from argmind.predictors.base import Predictor
from argmind.predictors.ebt import EBT
from argmind.registry import find, names
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

VOCABULARY, LENGTH, BATCH, STEPS = 7, 4, 3, 2

#: Parts of a model; each is tested inside a whole predictor.
MODEL_KINDS = (
    "attention",
    "feedforward",
    "norm",
    "conditioning",
    "space",
    "body",
    "head",
    "predictor",
)
THINKING_KINDS = ("rule", "schedule", "stop")
KINDS = (*MODEL_KINDS, *THINKING_KINDS, "objective")


@dataclass(frozen=True)
class Case:
    """One registered part, with options other than its defaults where those matter."""

    kind: str
    name: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join((self.kind, self.name, *self.options))

    @property
    def config(self) -> Any:
        return override(part_config(self.kind, self.name), list(self.options))

    @property
    def second_order(self) -> str:
        return getattr(find(self.kind, self.name), "second_order", "native")


#: Options that change the mathematics of a part.
OPTIONS = (
    Case("body", "two_stream", ("transformer.num_kv_heads=1", "transformer.qk_norm=true")),
    Case("feedforward", "swiglu", ("multiplier=2.5",)),
    Case("head", "bilinear", ("pull=0.3",)),
    Case("predictor", "transformer_pp", ("tied=false", "transformer.num_kv_heads=1")),
    Case("rule", "momentum", ("nesterov=true",)),
    Case("schedule", "learned", ("count=2",)),
    Case("schedule", "randomised", ("distribution=log_uniform",)),
    Case("space", "dual", ("readout=own", "candidate_embedding=own")),
    Case("space", "published", ("softmax=first_step", "candidate_embedding=token")),
    Case("objective", "thinking", ("through=last", "start_weight=0.5")),
)


def cases(*kinds: str) -> list[Case]:
    """Everything registered for these kinds, and the options above."""
    found = [Case(kind, name) for kind in kinds for name in names(kind)]
    return found + [case for case in OPTIONS if case.kind in kinds and case.options]


# ---------------------------------------------------------------------- building


def swapped(config: Any, case: Case) -> Any:
    """A config tree with every part of the case's kind replaced by the case's."""
    changes: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if item.metadata.get("part") == case.kind:
            changes[item.name] = case.config
        elif dataclasses.is_dataclass(value):
            changes[item.name] = swapped(value, case)
    return replace(config, **changes)


def shrunk(config: Any) -> Any:
    """A config tree with tiny transformers; of their options the rest stays."""
    changes = {
        item.name: shrunk(getattr(config, item.name))
        for item in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, item.name))
    }
    if isinstance(config, TransformerConfig):
        changes |= {"num_layers": 2, "num_heads": 2, "hidden_dim": 8}
    return replace(config, **changes)


def predictor_config(case: Case) -> Any:
    """A tiny energy model with the case's part in it, or the case's own predictor."""
    whole = case.config if case.kind == "predictor" else part_config("predictor", "ebt")
    return shrunk(swapped(whole, case))


def build(case: Case, seed: int = 0, start: Any = "amortised") -> Predictor:
    """The case's predictor in float64; no weight is left at a value that hides something."""
    thinking = swapped(ThinkingConfig(steps=STEPS, start=start), case)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = predictor_config(case).build(thinking, VOCABULARY).double().eval()
    disturb(model, seed)
    return model


def disturb(model: nn.Module, seed: int) -> None:
    """Move all weights away from zeros, ones and identities; step sizes stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            if not name.startswith("thinker."):
                weight += 0.3 * noise


def build_ebt(case: Case, seed: int = 0, start: Any = "amortised") -> EBT:
    model = build(case, seed, start)
    assert isinstance(model, EBT)
    return model


def build_objective(case: Case, seed: int = 0) -> Objective[Any]:
    """The case's objective around the predictor that its constructor asks for."""
    wanted = find(case.kind, case.name).__init__.__annotations__["predictor"]
    name = next(name for name in names("predictor") if find("predictor", name).__name__ == wanted)
    return case.config.build(build(Case("predictor", name), seed))


def budget(case: Case, **changes: Any) -> Budget:
    """A budget that uses the case's part, if it is one of thinking."""
    return swapped(Budget(steps=STEPS, **changes), case)


# ---------------------------------------------------------------------- inputs


def tokens(batch: int = BATCH, length: int = LENGTH, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator)


def candidates(model: EBT, batch: int, count: int, length: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, count, length, *model.space.feature_shape())
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def energies(model: EBT, context: Tensor, y: Tensor, step: int = 0) -> Tensor:
    """Energies (B, N, S) of candidates, given embedded context rows (B, S, D)."""
    state = model.body.encode(context)
    return model.body.energy(state, model.space.embed(model.space.point(y, step)), step)
