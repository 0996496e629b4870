"""Text checkpoints of the public EBT training code (arXiv 2507.02092) as argmind models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from argmind.convert.flags import (
    PublishedFlags,
    notes,
    objective_config,
    predictor_config,
    read_flags,
    thinking_config,
)
from argmind.convert.lightning import LightningCheckpoint, read_lightning
from argmind.errors import UserError
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.thinking.thinker import ThinkingConfig

#: Scalars that every public checkpoint holds, learned or not.
SCALARS = ("alpha", "langevin_dynamics_noise_std")

#: Patterns of our names, and the public name of what they match.
_NAMES: tuple[tuple[str, str], ...] = (
    (r"thinker\.schedule\.(?:base\.)?size", "alpha"),
    (r"space\.embedding\.weight", "embeddings.weight"),
    (r"space\.candidate_embedding\.weight", "vocab_to_embed.weight"),
    (r"body\.stream\.transformer\.(.+)", r"transformer.\1"),
    (r"body\.stream\.conditioning\.steps\.weight", "transformer.time_embeddings.weight"),
    (
        r"body\.stream\.conditioning\.blocks\.(\d+)\.(weight|bias)",
        r"transformer.layers.\1.adaLN_modulation.1.\2",
    ),
    (
        r"body\.stream\.conditioning\.last\.(weight|bias)",
        r"transformer.final_layer.adaLN_modulation.1.\1",
    ),
)


@dataclass(frozen=True, kw_only=True)
class ConvertedCheckpoint:
    """A public checkpoint in argmind's words.

    ``state_dict``: weights under our names, in the precision they were saved in; ``step``:
    optimiser steps that made them; ``context_length`` and ``tokenizer``: as the public training was
    told; ``notes``: what a user should know that the configs cannot say.
    """

    predictor_config: EBT.Config
    thinking: ThinkingConfig
    objective_config: ThinkingObjective.Config
    vocab_size: int
    context_length: int | None
    tokenizer: str
    state_dict: dict[str, Tensor]
    step: int
    notes: list[str]


def read_published(path: Path) -> ConvertedCheckpoint:
    """Read a ``.ckpt`` of the public text training code.

    Raises:
        UserError: the file cannot be read as data, a flag is missing or has no counterpart here,
            or weights are missing, left over, or of the wrong shape.
    """
    stored = read_lightning(path)
    try:
        return _convert(stored)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def build_ebt(converted: ConvertedCheckpoint) -> EBT:
    """The model, with the checkpoint's weights."""
    model = _on_meta(converted.predictor_config, converted.thinking, converted.vocab_size)
    model.load_state_dict(converted.state_dict, assign=True)
    return model


def published_name(name: str, ebt_type: str) -> str:
    """The public name of the weight that argmind calls ``name``."""
    if name == "body.head.linear.weight":
        modulated = ebt_type in ("adaln", "adaln_zero")
        return f"transformer.final_layer.{'linear.' if modulated else ''}weight"
    for pattern, public in _NAMES:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(public)
    raise KeyError(name)


def _convert(stored: LightningCheckpoint) -> ConvertedCheckpoint:
    flags = read_flags(stored.hyper_parameters)
    weights = _model_weights(stored.state_dict)
    _require(weights, {*SCALARS, "embeddings.weight"})
    alpha, noise_std = (_scalar(weights, name) for name in SCALARS)
    config, thinking = predictor_config(flags), thinking_config(flags, alpha, noise_std)
    vocab_size = weights["embeddings.weight"].shape[:1].numel()
    return ConvertedCheckpoint(
        predictor_config=config,
        thinking=thinking,
        objective_config=objective_config(flags),
        vocab_size=vocab_size,
        context_length=flags.context_length,
        tokenizer=flags.tokenizer,
        state_dict=_renamed(weights, _on_meta(config, thinking, vocab_size), flags),
        step=stored.step,
        notes=notes(stored.hyper_parameters, flags),
    )


def _model_weights(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's weights without the wrappers' prefixes; metrics of the training loop are left."""
    weights: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if name.startswith("torchmetrics_dict."):
            continue
        if not name.startswith("model."):
            raise UserError(f"weight '{name}' is not the model's (their names begin with 'model.')")
        weights[name.removeprefix("model.").removeprefix("_orig_mod.")] = value
    return weights


def _on_meta(config: EBT.Config, thinking: ThinkingConfig, vocab_size: int) -> EBT:
    """A model of shapes only: its weights are still to come."""
    with torch.device("meta"):
        return EBT(config, thinking, vocab_size=vocab_size)


def _renamed(weights: Mapping[str, Tensor], model: EBT, flags: PublishedFlags) -> dict[str, Tensor]:
    """The weights under our names, each of the shape that the model gives it."""
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    public = {name: published_name(name, flags.ebt_type) for name in shapes}
    _require(weights, set(public.values()))
    extra = sorted(weights.keys() - set(public.values()) - set(SCALARS))
    if extra:
        raise UserError(f"weights that these hyper_parameters do not explain: {_listed(extra)}.")
    renamed: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        value = weights[public[name]]
        if public[name] in SCALARS:
            value = value.reshape(1)
        if value.shape != shape or not value.is_floating_point():
            raise UserError(
                f"weight '{public[name]}' has shape {tuple(value.shape)} and type {value.dtype}; "
                f"these hyper_parameters ask for {tuple(shape)}, floating point."
            )
        renamed[name] = value
    return renamed


def _scalar(weights: Mapping[str, Tensor], name: str) -> float:
    if weights[name].numel() != 1:
        raise UserError(f"'{name}' should be one number, not {tuple(weights[name].shape)}.")
    return float(weights[name])


def _require(weights: Mapping[str, Tensor], names: set[str]) -> None:
    missing = sorted(names - weights.keys())
    if missing:
        raise UserError(f"weights missing: {_listed(missing)}.")


def _listed(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
