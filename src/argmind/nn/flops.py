"""Matmul FLOPs of a transformer's two streams, by formula.

These are model FLOPs, what the computation needs: 2 per multiply-add of a matrix product; causal
attention over the pairs that see each other; no elementwise work, nothing recomputed, nothing that
is done once for a whole batch (modulation by the step). ``P`` is the number of weights in linear
layers that every row passes:

=================== ======= ========================================================
what is done        cost    of a forward pass F = 2P per row + 4·D per pair and layer
=================== ======= ========================================================
a pass              1 F     the pass
ordinary training   3 F     and the gradients of inputs and of weights
a thinking step     2 F     and the gradient of the energy down to the candidate
training through it 6 F     and its tangent (1), and the reverse of both (1 + 2)
=================== ======= ========================================================

A product of two factors that both depend on the candidate (attention of rows among themselves) has
two gradients where one with weights has one: a thinking step costs 3 of it, training through it 9.

Plain autograd does these products too, only over masked pairs as well.
"""

from __future__ import annotations

from torch import nn

from argmind.nn.transformer import Transformer

TRAINED = 3
STEP = 2
TRAINED_STEP = 6
STEP_OF_PAIRS = 3
TRAINED_STEP_OF_PAIRS = 9


def linear_flops(*modules: nn.Module) -> float:
    """FLOPs of one row through all linear layers of the modules: 2 per weight."""
    layers = [layer for module in modules for layer in module.modules()]
    return 2.0 * sum(x.weight.numel() for x in layers if isinstance(x, nn.Linear))


def causal_pairs(rows: int) -> int:
    """How many (row, row it sees) pairs causal attention has: ``S (S + 1) / 2``."""
    return rows * (rows + 1) // 2


def candidate_flops(transformer: Transformer, rows: int, pairs: int) -> float:
    """A forward pass of candidate rows that see ``pairs`` context rows: ``2 P R + 4 D L pairs``.

    Each candidate's score with its own key is an elementwise product, and left out.
    """
    layers, width = transformer.config.num_layers, transformer.config.hidden_dim
    return rows * linear_flops(transformer) + 4.0 * width * layers * pairs


def context_flops(transformer: Transformer, rows: int, output: bool) -> float:
    """A forward pass of ``rows`` context rows: ``2 P S + 4 D L S (S + 1) / 2``.

    Without ``output`` the last layer gives its keys and values only.
    """
    pairs = causal_pairs(rows)
    whole = candidate_flops(transformer, rows, pairs)
    if output:
        return whole
    last = list(transformer.blocks)[-1]
    unused = linear_flops(last.attention.wq, last.attention.wo, last.feed_forward)
    return whole - rows * unused - 4.0 * transformer.config.hidden_dim * pairs
