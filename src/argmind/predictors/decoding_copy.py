"""The copy of a model that decoding works with: matrices in bf16, blocks compiled."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from argmind.energy.heads.base import Head
from argmind.nn.transformer import Block, Transformer
from argmind.predictors.base import Predictor
from argmind.spaces.base import Space

#: How things are compiled: every shape is met thousands of times.
_HOW: dict[str, Any] = {"dynamic": False}


def prepared(predictor: Predictor, precision: str, compiled: bool) -> Predictor:
    """The model as decoding wants it: itself in fp32 uncompiled, else a copy, fixed as it is now.

    ``bf16``: matrices and embeddings are cast once. Under autocast this computes what autocast
    computes with the fp32 weights: products in bf16, everything else in fp32.
    ``compiled``: every block is, once for all layers, with its first derivative; so are head and
    embedding of candidates.
    """
    if precision == "fp32" and not compiled:
        return predictor
    model = copy.deepcopy(predictor).eval().requires_grad_(False)
    if precision == "bf16":
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                module.weight.data = module.weight.data.to(torch.bfloat16)
            if isinstance(module, nn.Embedding):
                module.register_forward_hook(_widened)
    if compiled:
        _compile(model)
    return model


def _compile(model: Predictor) -> None:
    """Compile what a token passes: blocks, the last norm, the head, and how candidates are seen."""
    # Every batch size and every model has programs of its own: more than the default limit.
    limit = torch._dynamo.config.recompile_limit  # pyright: ignore[reportPrivateUsage]
    torch._dynamo.config.recompile_limit = max(64, limit)  # pyright: ignore[reportPrivateUsage]
    for module in model.modules():
        if isinstance(module, (Block, Head)):
            module.compile(**_HOW)
        if isinstance(module, Transformer):
            module.norm.compile(**_HOW)
        if isinstance(module, Space):
            module.embed = torch.compile(module.embed, **_HOW)


def _widened(module: nn.Module, inputs: tuple[Tensor], rows: Tensor) -> Tensor:  # noqa: ARG001
    """Embedded rows in fp32, as the residual stream is."""
    return rows.float()
