"""Four geometries of a next-token answer.

Tokens live on the corners of a simplex with V corners. What the candidate is, and where the
energy is differentiated, is the choice:

========== ===================== ============================= ==============================
name       candidate y           energy differentiated at      move
========== ===================== ============================= ==============================
published  V numbers             p = softmax(y)                y ← p − δ (read as logits)
euclidean  V logits              y, through the softmax        y ← y − δ
mirror     D-vector s            e = Σ softmax(W s)_v E_v      s ← s − δ
dual       D-vector s            s, seen beside e(s)           s ← s − δ
========== ===================== ============================= ==============================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.kernels import vocabulary
from argmind.randomness import Randomness
from argmind.spaces.base import Space, SpaceFlops, StartKind, next_token, token_loss


class TextSpace(Space):
    """What the geometries share: token embeddings, expected embedding, cross-entropy."""

    amortises = True
    metric = "nats"

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: V→D matrix of a candidate: its own, or the token embedding.
        candidate_embedding: Literal["own", "token"] = "token"
        #: D→V read-out matrix, where a geometry has one: the token embedding, or its own.
        readout: Literal["token", "own"] = "token"
        #: A target with this id is not learnt (the public text code pads with 0).
        ignore_id: int | None = None

    def __init__(self, config: Config, vocab_size: int, dim: int) -> None:
        super().__init__()
        self.ignore_id = -1 if config.ignore_id is None else config.ignore_id
        self.vocab_size, self.dim = vocab_size, dim
        self.embedding = nn.Embedding(vocab_size, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        own = config.candidate_embedding == "own"
        self.candidate_embedding = nn.Linear(vocab_size, dim, bias=False) if own else None
        if self.candidate_embedding is not None:
            nn.init.xavier_uniform_(self.candidate_embedding.weight)
        self.readout = nn.Linear(dim, vocab_size, bias=False) if config.readout == "own" else None
        if self.readout is not None:
            nn.init.normal_(self.readout.weight, std=dim**-0.5)

    def task(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Next-token prediction on windows of tokens."""
        return next_token(batch)

    def embed_context(self, context: Tensor) -> Tensor:
        """Token ids (B, S) → (B, S, D)."""
        return self.embedding(context)

    def counts(self, target: Tensor) -> Tensor:
        """Which targets (B, S) are learnt."""
        return target != self.ignore_id

    @property
    def seen(self) -> Tensor:
        """E (V, D): what the model sees of each token."""
        own = self.candidate_embedding
        return self.embedding.weight if own is None else own.weight.T

    @property
    def read(self) -> Tensor:
        """W (V, D): how each token is read out."""
        return self.embedding.weight if self.readout is None else self.readout.weight

    def logits(self, s: Tensor) -> Tensor:
        """``W s``: (..., D) → (..., V)."""
        return vocabulary.logits(s, self.read)

    @property
    def _vocabulary(self) -> float:
        """FLOPs of one product with a V×D matrix: 2 V D."""
        return 2.0 * self.vocab_size * self.dim

    def output_loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy in nats of logits (..., V)."""
        return token_loss(output, target)


class LogitSpace(TextSpace):
    """Candidates with one number per token."""

    @dataclass(frozen=True, kw_only=True)
    class Config(TextSpace.Config):
        #: ``exact``: candidates as weights are; ``compact``: in bfloat16, starting from noise that
        #: is a function of its place (half the memory and traffic, other draws).
        state: Literal["exact", "compact"] = "exact"

    def __init__(self, config: Config, vocab_size: int, dim: int) -> None:
        super().__init__(config, vocab_size, dim)
        self.compact = config.state == "compact"

    def start(
        self,
        kind: StartKind,
        predictions: torch.Size,
        hidden: Tensor | None,
        noise_std: float,
        generator: Randomness,
        given: Tensor | None = None,
    ) -> Tensor:
        """See :meth:`Space.start`."""
        if not self.compact or kind != "noise":
            whole = super().start(kind, predictions, hidden, noise_std, generator, given)
            return whole.to(torch.bfloat16) if self.compact else whole
        shape = (*predictions, self.vocab_size)
        like = self.embedding.weight
        return vocabulary.counted_normal(shape, noise_std, generator, like, torch.bfloat16)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy (B, N, S)."""
        return vocabulary.token_loss(y, None, _of_every(y, target))

    def feature_shape(self) -> tuple[int, ...]:
        """(V,)."""
        return (self.vocab_size,)

    def amortised(self, hidden: Tensor) -> Tensor:
        """The read-out of the context stream's output: ordinary logits."""
        return self.logits(hidden)

    def flops(self) -> SpaceFlops:
        """The expected embedding, 2 V D; its gradient's way back to V tokens costs the same."""
        one = self._vocabulary
        return SpaceFlops(start=one, embed=one, entry=one)

    def decode(self, y: Tensor) -> Tensor:
        """The candidate is read as logits."""
        return y


class VectorSpace(TextSpace):
    """Candidates with D numbers, whose read-out is the logits."""

    def feature_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return (self.dim,)

    def amortised(self, hidden: Tensor) -> Tensor:
        """The context stream's own output."""
        return hidden

    def decode(self, y: Tensor) -> Tensor:
        """``W s``."""
        return self.logits(y)

    def loss(self, y: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy (B, N, S) of the read-out; logits are not kept where they are many."""
        return vocabulary.token_loss(y, self.read, _of_every(y, target))


def _of_every(y: Tensor, target: Tensor) -> Tensor:
    """Targets (B, S) for each of N candidates."""
    return target[:, None].expand(y.shape[:-1])
