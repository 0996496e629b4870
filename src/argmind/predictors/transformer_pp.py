"""The rival: a modern causal transformer language model from the same blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from argmind.config import PartConfig
from argmind.kernels import vocabulary
from argmind.nn.conditioning.none import NoConditioning
from argmind.nn.context import ContextState, ContextStream
from argmind.nn.flops import TRAINED, context_flops, linear_flops
from argmind.nn.transformer import TransformerConfig
from argmind.predictors.base import Prediction, Predictor
from argmind.randomness import Randomness
from argmind.registry import register
from argmind.spaces.base import next_token, token_loss
from argmind.thinking.budget import Budget


@register("predictor", "transformer_pp")
class TransformerPP(Predictor):
    """Transformer++: pre-RMSNorm, rotary positions, SwiGLU, no biases, fused attention.

    It answers in one pass whatever the budget. Having no energy, it reports the entropy of its
    distribution (nats): what it would itself use to say how sure it is.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: TransformerConfig = field(default_factory=TransformerConfig)
        tied: bool = True

    def __init__(self, config: Config, thinking: Any, vocab_size: int) -> None:  # noqa: ARG002
        super().__init__()
        dims = config.transformer
        self.embedding = nn.Embedding(vocab_size, dims.hidden_dim)
        nn.init.normal_(self.embedding.weight, std=dims.hidden_dim**-0.5)
        none = NoConditioning(NoConditioning.Config(), dims.hidden_dim, dims.num_layers, 1)
        self.stream = ContextStream(dims, none, output=True)
        self.readout = nn.Linear(dims.hidden_dim, vocab_size, bias=False)
        nn.init.normal_(self.readout.weight, std=dims.hidden_dim**-0.5)
        if config.tied:
            self.readout.weight = self.embedding.weight

    metric = "nats"

    def encode(
        self, context: Tensor, first: Tensor | None = None, last_only: bool = False
    ) -> ContextState:
        """Encode the context; see :class:`Predictor`."""
        after = torch.full_like(context[:, :1], context.shape[1] - 1) if last_only else None
        return self.stream.encode(self.embedding(context), first, after)

    def extend(self, state: ContextState, elements: Tensor) -> ContextState:
        """One more context element (B,), from the cache."""
        return self.stream.extend(state, self.embedding(elements[:, None]))

    def hidden(self, state: ContextState) -> Tensor:
        """(B, P, D) features of what the state asks, which the read-out turns into logits."""
        hidden = self.stream.hidden(state)
        assert hidden is not None  # the stream is built with its output
        return hidden

    def logits(self, state: ContextState) -> Tensor:
        """(B, P, V) logits of what the state asks."""
        return vocabulary.logits(self.hidden(state), self.readout.weight)

    @torch.no_grad()
    def predict_from(
        self,
        state: ContextState,
        budget: Budget,
        generator: Randomness = None,  # noqa: ARG002
    ) -> Prediction:
        """One pass; a budget that leaves out the score gets the largest logit, negative."""
        logits = self.logits(state)
        if budget.score:
            wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
            log_p = wide.log_softmax(-1)
            doubt = -(log_p.exp() * log_p).sum(-1)
        else:
            doubt = -logits.amax(-1)
        none = torch.zeros(doubt.shape, dtype=torch.long, device=doubt.device)
        return Prediction(logits, logits, doubt, none, none + 1, ~doubt.isfinite())

    def task(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Next-token prediction."""
        return next_token(batch)

    def keep(self, state: ContextState, rows: Tensor) -> ContextState:
        """The state of some of its problems, by index."""
        return state.rows(rows)

    def fixed(self, state: ContextState, capacity: int) -> ContextState:
        """The same state in buffers of fixed size, extended in place."""
        return self.stream.fixed(state, capacity)

    def _forward_flops(self, length: int) -> float:
        passed = context_flops(self.stream.transformer, length, output=True)
        return passed + length * linear_flops(self.readout)

    def training_flops(self, sequences: int, length: int) -> float:
        """``6 P + 6 V D`` per token, and attention: three forward passes."""
        return TRAINED * sequences * self._forward_flops(length)

    def prediction_flops(self, length: int, budget: Budget) -> float:  # noqa: ARG002
        """One forward pass: ``2 P + 2 V D`` per token, and attention."""
        return self._forward_flops(length)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy in nats, per prediction."""
        return token_loss(output, target)
