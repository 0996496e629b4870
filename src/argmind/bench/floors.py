"""The fewest bytes that training and decoding must move, by formula.

Training. In a design where every kernel that can be fused is, one row of the context (or of
Transformer++) moves ``L (56 D + 17 H)`` numbers in a forward and backward pass, and one candidate
row ``L (134 D + 41 H)`` in a thinking step that is learnt through: its four sweeps (forward, inner
adjoint, tangent, second adjoint) read and write each layer's inputs, outputs and what lies between
its matrix products once. L layers, width D, hidden width of the feed-forward H; 2 bytes a number in
bf16, 4 in fp32. Every weight is read in every sweep, and its gradient written.
The vocabulary adds 5 V numbers for a loss on logits, and 7 V for every step of a candidate with one
number per token. A vector that is read out needs none of that: its probabilities can stay on chip.
The counts are those of the operations in :class:`argmind.nn.transformer.Block` for one sweep each:
the double backward of a layer is the tangent of its forward and of its backward (Pearlmutter 1994),
whose operands are the sweep's inputs and outputs and nothing more.

Decoding. A new token reads the matrices and the cached keys and values once per pass: one context
pass, two for a thinking step (energy and its gradient), one for the answer's energy. Candidates
share both. Tokens of one batch share the matrices.
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from argmind.nn.transformer import Transformer
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget

_CONTEXT, _CONTEXT_HIDDEN = 56, 17
_CANDIDATE, _CANDIDATE_HIDDEN = 134, 41
_LOSS, _LOGIT_STEP = 5, 7
#: Sweeps over the weights: forward and backward; and of a step that is learnt through.
_SWEEPS, _STEP_SWEEPS = 2, 4


def bytes_each(precision: str) -> int:
    """Bytes of one number."""
    return 2 if precision == "bf16" else 4


def training_bytes(predictor: Predictor, rows: int, steps: int, precision: str) -> float | None:
    """Bytes of a forward and backward pass over ``rows`` predictions; None: no formula here."""
    transformer = _transformer(predictor)
    if transformer is None:
        return None
    layers, width = transformer.config.num_layers, transformer.config.hidden_dim
    hidden = _hidden_width(transformer)
    each = bytes_each(precision)
    weights = sum(weight.numel() for weight in predictor.parameters())
    context = layers * (_CONTEXT * width + _CONTEXT_HIDDEN * hidden)
    vocabulary = _vocabulary(predictor)
    if not predictor.thinks:
        return each * (rows * (context + _LOSS * vocabulary) + (_SWEEPS + 1) * weights)
    passes = steps if _encodes_per_step(predictor) else 1
    candidate = layers * (_CANDIDATE * width + _CANDIDATE_HIDDEN * hidden)
    step = _LOGIT_STEP * vocabulary if _has_logits(predictor) else 0
    loss = _LOSS * vocabulary
    moved = rows * (passes * context + steps * (candidate + step) + loss)
    return each * (moved + (_SWEEPS * passes + _STEP_SWEEPS * steps + 1) * weights)


def decoding_bytes(
    predictor: Predictor, batch: int, length: int, budget: Budget, steps: int, precision: str
) -> float | None:
    """Bytes of one new token for each of ``batch`` contexts of this length; None: no formula."""
    transformer = _transformer(predictor)
    if transformer is None:
        return None
    config: Any = transformer.config
    matrices = sum(x.weight.numel() for x in transformer.modules() if isinstance(x, nn.Linear))
    cached = 2 * batch * length * config.num_layers * config.kv_heads * config.head_dim
    readings = _vocabulary(predictor) * config.hidden_dim
    if not predictor.thinks:
        return bytes_each(precision) * (matrices + cached + readings)
    landscapes = steps + budget.score if _encodes_per_step(predictor) else 1
    thinking = 2 * steps + budget.score
    passes = landscapes + thinking
    # The gradient reads the vocabulary's matrix once more; so does the answer.
    return bytes_each(precision) * (passes * (matrices + cached) + (thinking + 1) * readings)


def training_memory(predictor: Predictor, rows: int, steps: int, precision: str) -> float:
    """A rough estimate in bytes of the memory of one training step.

    Weights, gradients and two moments in fp32; what a pass keeps for its backward (about 16 D + 5 H
    numbers a layer and row) for the context, and three times that for every step; logits in fp32
    for the loss, and twice for every step.
    """
    weights = sum(weight.numel() for weight in predictor.parameters())
    transformer = _transformer(predictor)
    vocabulary = _vocabulary(predictor)
    kept = 0.0
    if transformer is not None:
        width, hidden = transformer.config.hidden_dim, _hidden_width(transformer)
        kept = transformer.config.num_layers * (16.0 * width + 5 * hidden) * bytes_each(precision)
    thinking = steps if predictor.thinks else 0
    return 16.0 * weights + rows * (kept * (1 + 3 * thinking) + 4 * vocabulary * (1 + 2 * thinking))


def _transformer(predictor: Predictor) -> Transformer | None:
    found = [module for module in predictor.modules() if isinstance(module, Transformer)]
    return found[0] if len(found) == 1 else None


def _hidden_width(transformer: Transformer) -> int:
    """Of the first layer's feed-forward: what its widest matrix gives."""
    block = next(iter(transformer.blocks))
    sizes = [x.out_features for x in block.feed_forward.modules() if isinstance(x, nn.Linear)]
    return max(sizes, default=transformer.config.hidden_dim)


def _vocabulary(predictor: Predictor) -> int:
    """Number of tokens; 0 where answers are no tokens."""
    tables = [module for module in predictor.modules() if isinstance(module, nn.Embedding)]
    return max((table.num_embeddings for table in tables), default=0)


def _has_logits(predictor: Any) -> bool:
    """Is a candidate one number per token?"""
    shape = predictor.space.feature_shape()
    return math.prod(shape) == _vocabulary(predictor)


def _encodes_per_step(predictor: Any) -> bool:
    return predictor.body.stream.conditioning.encode_per_step
