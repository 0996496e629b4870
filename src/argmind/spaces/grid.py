"""Grids of symbols: a simplex for every cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from argmind.config import PartConfig
from argmind.nn.conditioning.base import Step
from argmind.registry import register
from argmind.spaces.base import Embedding, Given
from argmind.spaces.reasoning import ReasoningSpace

#: Logit of the given symbol of a known cell: its probability is 1 up to 1e-5 or so.
CERTAIN = 12.0


@register("space", "grid")
class GridSpace(ReasoningSpace):
    """K-way answers, one a cell.

    ========= ============ ========================= ===================== =====================
    geometry  candidate y  energy differentiated at  move                  logits
    ========= ============ ========================= ===================== =====================
    mirror    logits       p = softmax(y)            y ← y − α ∂E/∂p       y
    euclidean logits       y, through the softmax    y ← y − α ∂E/∂y       y
    relaxed   K numbers    y, ±1 for an answer       y ← y − α ∂E/∂y       6 y
    ========= ============ ========================= ===================== =====================

    In mirror form steps do not fade as a cell becomes sure. Source: Nemirovski & Yudin 1983 (mirror
    descent); Du, Mao & Tenenbaum 2024 (IRED) for the relaxed form.
    """

    answers_with = "symbols"

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        geometry: Literal["mirror", "euclidean", "relaxed"] = "mirror"
        #: Cells that are given hold their symbol, or are free like the others: the model sees what
        #: is given either way.
        hold_known: bool = True
        #: Can thinking start from a first guess of its own (``thinking.start=amortised``)?
        guesses: bool = False

    def __init__(self, config: Config, dim: int, **inputs: Any) -> None:
        super().__init__(dim, config.guesses, inputs)
        self.config, self.geometry = config, config.geometry
        self.continuous = config.geometry == "relaxed"

    def known_candidate(self, problem: dict[str, Tensor]) -> Given:
        """Zeros, and the given symbols of known cells where they hold."""
        given, known = problem["given"], problem["known"]
        symbols, weight = self.layout.width, self.candidate.weight
        start = weight.new_zeros(*known.shape, symbols)
        if not self.config.hold_known or given.is_floating_point():
            return Given(start)
        # A known cell's given symbol is its answer; symbols beyond the answers mark open cells.
        symbol = given.clamp(max=symbols - 1)
        if self.geometry == "relaxed":
            certain = self.ideal(symbol)
        else:
            certain = CERTAIN * F.one_hot(symbol, symbols).to(weight)
        return Given(torch.where(known[..., None], certain, start), known[..., None])

    def ideal(self, target: Tensor) -> Tensor:
        """±1, or certain logits."""
        certain = super().ideal(target)
        return certain if self.geometry == "relaxed" else CERTAIN / 2 * certain

    def point(self, y: Tensor, step: Step) -> Tensor:  # noqa: ARG002
        """The probabilities, or the candidate."""
        return y.softmax(-1) if self.geometry == "mirror" else y

    def embed(self, point: Tensor) -> Embedding:
        """Expected embeddings, and the probabilities; in relaxed form of the numbers."""
        return super().embed(point.softmax(-1) if self.geometry == "euclidean" else point)

    def decode(self, y: Tensor) -> Tensor:
        """Logits."""
        return CERTAIN / 2 * y if self.geometry == "relaxed" else y
