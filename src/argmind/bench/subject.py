"""What is measured: a recipe's model on synthetic tokens, or on its own data where that is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argmind.assembly import build_predictor
from argmind.bench.floors import training_memory
from argmind.errors import UserError
from argmind.predictors.base import Predictor
from argmind.recipes.base import Recipe, customised
from argmind.recipes.files import open_recipe
from argmind.train.distributed import resolve_device


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Sizes and terms that all models of one measurement share."""

    size: str | None = "small"
    context_tokens: int = 256
    batch_size: int = 32
    vocab_size: int = 50_277
    precision: str = "bf16"
    compiled: str = "auto"
    device: str = "auto"
    seed: int = 0
    repeats: int = 10
    #: Held while something is timed: a lock, where several processes share a device.
    alone: Callable[[], AbstractContextManager[object]] = nullcontext

    def __post_init__(self) -> None:
        if self.context_tokens < 2:
            raise UserError(f"--context: two tokens at least, got {self.context_tokens}.")
        if self.vocab_size < 2:
            raise UserError(f"--vocab: two tokens at least, got {self.vocab_size}.")

    @property
    def torch_device(self) -> torch.device:
        """Where it is measured."""
        return resolve_device(self.device)

    @property
    def rows(self) -> int:
        """Predictions in one training step on text."""
        return self.batch_size * self.context_tokens

    def recipe(self, name: str, settings: Sequence[str] = ()) -> Recipe:
        """A recipe at this size.

        Raises:
            UserError: no such recipe or option.
        """
        return customised(open_recipe(name), self.size, list(settings))

    def model(self, recipe: Recipe, inputs: Mapping[str, Any] | None = None) -> Predictor:
        """The recipe's predictor with fresh weights, on the device; by default one of text."""
        known = {"vocab_size": self.vocab_size} if inputs is None else inputs
        return build_predictor(recipe, known).to(self.torch_device)

    def material(self, recipe: Recipe) -> Material:
        """What a training step of this recipe works on.

        Raises:
            UserError: the recipe's data cannot be read.
        """
        if reads_text(recipe):
            batch = {"tokens": self.tokens(self.context_tokens + 1)}
            return Material({"vocab_size": self.vocab_size}, batch)
        data = recipe.data.build(seed=self.seed)
        batch = data.batch(0, self.batch_size)
        return Material(
            data.model_inputs, {name: x.to(self.torch_device) for name, x in batch.items()}
        )

    def tokens(self, length: int) -> torch.Tensor:
        """Random tokens (B, length)."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.batch_size, length)
        return torch.randint(self.vocab_size, shape, generator=generator).to(self.torch_device)


@dataclass(frozen=True)
class Material:
    """What a model is told of its data, and one batch of it on the device."""

    inputs: Mapping[str, Any]
    batch: dict[str, Tensor]


def reads_text(recipe: Recipe) -> bool:
    """Is the recipe's data text, for which tokens can be made up?"""
    return recipe.data.part_name == "text"


@dataclass(frozen=True)
class Estimate:
    """What a training step takes by :func:`training_memory`, and what there is."""

    needed_bytes: float
    weight_bytes: float
    there_bytes: float

    @property
    def fits(self) -> bool:
        """Is there enough?"""
        return self.needed_bytes <= self.there_bytes

    def __str__(self) -> str:
        return f"{self.needed_bytes / 2**30:,.1f} GiB"


def estimated(setting: Setting, recipe: Recipe) -> Estimate:
    """The memory of a training step, found without allocating any.

    Raises:
        UserError: not even weights, gradients and moments fit.
    """
    with torch.device("meta"):
        model = build_predictor(recipe, {"vocab_size": setting.vocab_size})
    held = 16.0 * sum(weight.numel() for weight in model.parameters())
    needed = training_memory(model, setting.rows, recipe.thinking.steps, setting.precision)
    there = memory_bytes(setting.torch_device)
    if held > there:
        raise UserError(
            f"'{recipe.name}' at this size needs {held / 2**30:,.0f} GiB for weights, gradients "
            f"and moments alone; {setting.torch_device} has {there / 2**30:,.0f} GiB. Choose a "
            "smaller --size or --vocab."
        )
    return Estimate(needed, held, there)


def memory_bytes(device: torch.device) -> float:
    """Memory of the device, or of the machine what is available now."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    try:
        with open("/proc/meminfo", encoding="utf-8") as lines:
            known = dict(line.split(":", 1) for line in lines)
        return 1024.0 * float(known["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return float("inf")
