"""Every registered part in a tiny float64 model: what the conformance suite runs over."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import override, part_config
from argmind.nn.dimensions import Dimensions
from argmind.objectives._field import FieldObjective
from argmind.objectives.base import Objective
from argmind.objectives.nearest import Nearest
from argmind.predictors.base import Predictor
from argmind.predictors.ebt import EBT
from argmind.registry import find, names
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

VOCABULARY, LENGTH, BATCH, STEPS = 7, 4, 3, 2
CHANNELS, SIDE, CLASSES = 2, 8, 3
CELLS, SYMBOLS, NUMBERS = 5, 3, 2
CHUNK, ACTION, FRAMES, STATE, VIEW = 4, 2, 2, 3, 16

#: What data of each domain says about itself.
INPUTS: dict[str, dict[str, Any]] = {
    "text": {"vocab_size": VOCABULARY},
    "image": {"channels": CHANNELS, "image_size": SIDE, "classes": CLASSES},
    "symbols": {
        "tokens": CELLS,
        "places": (CELLS, 2),
        "symbols": SYMBOLS,
        "given_symbols": SYMBOLS + 1,
    },
    "numbers": {"tokens": CELLS, "places": (CELLS,), "numbers": NUMBERS, "given_numbers": 3},
    "actions": {
        "action_size": ACTION,
        "chunk": CHUNK,
        "frames": FRAMES,
        "observations": {"state": (STATE,), "image": (3, VIEW, VIEW)},
    },
}

#: Objectives for answers that have others between them.
CONTINUOUS = (FieldObjective, Nearest)

#: Parts of a model; each is tested inside a whole predictor.
MODEL_KINDS = (
    "attention",
    "feedforward",
    "norm",
    "conditioning",
    "observation",
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
    domain: str = "text"

    def __str__(self) -> str:
        domain = () if self.domain == "text" else (self.domain,)
        return "-".join((*domain, self.kind, self.name, *self.options))

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
    Case("body", "bidirectional", ("transformer.modulation=added",), "image"),
    Case("body", "bidirectional", ("transformer.qk_norm=true", "landscapes=told"), "image"),
    Case("head", "linear", ("start=zeros",), "image"),
    Case("head", "quadratic", ("reduction=mean",), "image"),
    Case("space", "image", ("tell_level=true", "tell_label=true", "loss=mse"), "image"),
    Case("space", "image", ("context=given", "guesses=true", "clamp=none"), "image"),
    Case("space", "image", ("patch=2", "step_unit=none", "clamp=move"), "image"),
    Case("predictor", "dit", ("tell_label=true", "guidance=2.0", "sampler=ddpm"), "image"),
    Case("predictor", "dit", ("target=velocity", "sampler=heun", "noise=ddpm"), "image"),
    Case("predictor", "regression", ("tell_level=true", "tell_label=true", "loss=mse"), "image"),
    Case("objective", "equilibrium", ("contrast_weight=0.5",), "image"),
    Case("space", "grid", ("geometry=relaxed", "guesses=true"), "symbols"),
    Case("space", "grid", ("geometry=euclidean", "hold_known=false"), "symbols"),
    Case("space", "numbers", ("guesses=true",), "numbers"),
    Case("predictor", "looped", ("pre_layers=1", "post_layers=2"), "symbols"),
    Case("predictor", "answer_diffusion", ("target=velocity", "sampler=heun"), "symbols"),
    Case("predictor", "answer_diffusion", ("target=epsilon", "clip=8.0"), "numbers"),
    Case("objective", "supervised", ("loss_on=last",), "symbols"),
    Case("objective", "supervised", ("fewest_turns=1", "drawn_for=problem"), "symbols"),
    Case("body", "policy", ("transformer.qkv_bias=false",), "actions"),
    Case("head", "quadratic", ("reduction=mean",), "actions"),
    Case("observation", "image", ("channels=[4,32]",), "actions"),
    Case("rule", "energy_scaled", ("base.kind=momentum", "base.nesterov=true"), "actions"),
    Case("rule", "langevin", ("anneal_steps=2", "base.kind=energy_scaled"), "actions"),
    Case("space", "actions", ("normalise=false", "clip=0.5"), "actions"),
    Case("predictor", "diffusion_policy", ("sampler=ddpm", "steps=7", "clip=null"), "actions"),
)


def cases(*kinds: str, domain: str = "text") -> list[Case]:
    """Everything of a domain that is registered for these kinds, and the options above."""
    found = [
        Case(kind, name, domain=domain)
        for kind in kinds
        for name in names(kind)
        if domain in domains(kind, name)
    ]
    return found + [case for case in OPTIONS if case.kind in kinds and case.domain == domain]


def domains(kind: str, name: str) -> set[str]:
    """Where a part can be used: by what it must know of the data, or whom it is made for."""
    part, everywhere = find(kind, name), set(INPUTS)
    if kind in ("conditioning", "observation"):
        return {"text"} if kind == "conditioning" else {"actions"}
    if kind == "body":
        read = {"positions": {"text"}, "frames": {"actions"}}
        return read.get(part.reads, everywhere - {"text", "actions"})
    if kind == "objective":
        between = {"image", "numbers", "actions"} if issubclass(part, CONTINUOUS) else everywhere
        return domains("predictor", _predictor_of(name)) & between
    if kind not in ("space", "predictor") or part is EBT:
        return everywhere
    wanted = inspect.signature(part.__init__).parameters
    if "inputs" in wanted:  # a reasoning problem, whatever it is described by
        answers_with = getattr(part, "answers_with", None)
        return {answers_with} if answers_with else {"symbols", "numbers"}
    return {domain for domain, inputs in INPUTS.items() if {*inputs} <= {*wanted}}


def _predictor_of(objective: str) -> str:
    """Name of a predictor such as an objective's constructor asks for."""
    wanted = inspect.get_annotations(find("objective", objective).__init__)["predictor"]
    lines = {
        name: [base.__name__ for base in find("predictor", name).__mro__]
        for name in names("predictor")
    }
    fitting = [name for name, line in lines.items() if wanted in line]
    return min(fitting, key=lambda name: lines[name].index(wanted))


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
    if isinstance(config, Dimensions):
        changes |= {"num_layers": 2, "num_heads": 2, "hidden_dim": 8}
    return replace(config, **changes)


def predictor_config(case: Case) -> Any:
    """A tiny energy model with the case's part in it, or the case's own predictor."""
    whole = case.config
    if case.kind != "predictor" or whole.owner is EBT:
        whole = _energy_model(case.domain)
    return shrunk(swapped(whole, case))


def _energy_model(domain: str) -> Any:
    if domain == "text":
        return part_config("predictor", "ebt")
    if domain == "actions":
        space, body = part_config("space", "actions"), part_config("body", "policy", frame_layers=1)
        return part_config("predictor", "ebt", space=space, body=body)
    if domain in ("symbols", "numbers"):
        space = part_config("space", "grid" if domain == "symbols" else "numbers")
    else:
        space = part_config("space", "image", patch=2, context="given")
    return part_config("predictor", "ebt", space=space, body=part_config("body", "bidirectional"))


def usual_start(case: Case) -> Any:
    """From a first guess where the space makes one, else from what is given, or from noise."""
    if case.domain == "actions":
        return "noise"
    config = predictor_config(case)
    guesses = not issubclass(config.owner, EBT) or getattr(config.space, "guesses", True)
    return "amortised" if guesses else "given"


def build(case: Case, seed: int = 0, start: Any = None) -> Predictor:
    """The case's predictor in float64; no weight is left at a value that hides something."""
    thinking = swapped(ThinkingConfig(steps=STEPS, start=start or usual_start(case)), case)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = predictor_config(case).build(thinking, **INPUTS[case.domain]).double().eval()
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


def build_ebt(case: Case, seed: int = 0, start: Any = None) -> EBT:
    model = build(case, seed, start)
    assert isinstance(model, EBT)
    return model


def build_objective(case: Case, seed: int = 0) -> Objective[Any]:
    """The case's objective around the predictor that its constructor asks for."""
    predictor = Case("predictor", _predictor_of(case.name), domain=case.domain)
    return case.config.build(build(predictor, seed))


def budget(case: Case, **changes: Any) -> Budget:
    """A budget that uses the case's part, if it is one of thinking."""
    return swapped(Budget(steps=STEPS, **changes), case)


# ---------------------------------------------------------------------- inputs


def tokens(batch: int = BATCH, length: int = LENGTH, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator)


def images(batch: int = BATCH, seed: int = 1) -> dict[str, Tensor]:
    """A batch as the image tasks make it, with everything in it."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, CHANNELS, SIDE, SIDE)
    clean = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    level = 0.1 + 0.4 * torch.rand(batch, generator=generator, dtype=torch.float64)
    known = torch.rand((batch, 1, SIDE, SIDE), generator=generator) < 0.3
    return {
        "clean": clean,
        "given": torch.where(known, clean, clean + level[:, None, None, None] * noise),
        "level": level,
        "known": known,
        "label": torch.randint(CLASSES, (batch,), generator=generator),
    }


def problems(domain: str, batch: int = BATCH, seed: int = 1) -> dict[str, Tensor]:
    """A batch of reasoning problems; where answers are symbols, some of them are given."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(CELLS).expand(batch, CELLS)
    if domain == "numbers":
        shape = (batch, CELLS)
        return {
            "given": torch.randn((*shape, 3), generator=generator, dtype=torch.float64),
            "target": torch.randn((*shape, NUMBERS), generator=generator, dtype=torch.float64),
            "known": torch.zeros(shape, dtype=torch.bool),
            "places": place[..., None],
            "difficulty": torch.zeros(batch),
        }
    target = torch.randint(0, SYMBOLS, (batch, CELLS), generator=generator)
    known = torch.rand((batch, CELLS), generator=generator) < 0.4
    known[:, 0], known[:, 1] = True, False
    return {
        "given": torch.where(known, target, SYMBOLS),
        "target": target,
        "known": known,
        "places": torch.stack([place, place % 2], dim=-1),
        "difficulty": torch.zeros(batch),
    }


def demonstrations(batch: int = BATCH, seed: int = 1) -> dict[str, Tensor]:
    """A batch of observed frames, and the actions that followed."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn((batch, FRAMES, STATE), generator=generator, dtype=torch.float64)
    actions = torch.rand((batch, CHUNK, ACTION), generator=generator, dtype=torch.float64)
    picture = torch.rand((batch, FRAMES, 3, VIEW, VIEW), generator=generator, dtype=torch.float64)
    return {"state": state, "image": 2 * picture - 1, "actions": 2 * actions - 1}


def candidates(model: EBT, batch: int, count: int, *places: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, count, *places, *model.space.feature_shape())
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def energies(model: EBT, context: Tensor, y: Tensor, step: int = 0) -> Tensor:
    """Energies (B, N, S) of candidates, given embedded context rows (B, S, D)."""
    state = model.body.encode(context)
    return model.body.energy(state, model.space.embed(model.space.point(y, step)), step)
