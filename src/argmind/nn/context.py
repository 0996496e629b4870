"""A context stream: causal attention over given rows, encoded once, extended row by row.

Energy models put a candidate stream on top of it; Transformer++ reads its output directly.
Shapes: B problems, S context rows, P predictions asked, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.nn.conditioning.base import Conditioning
from argmind.nn.position import Rotation, rotation
from argmind.nn.self_attention import KeysValues
from argmind.nn.transformer import ModulationOf, Transformer, TransformerConfig


@dataclass
class Encoded:
    """One landscape's context: per-layer keys and values, and the stream's output."""

    cache: list[KeysValues]
    hidden: Tensor | None

    def rows(self, index: Tensor) -> Encoded:
        """Some of the problems."""
        cache = [KeysValues(layer.keys[index], layer.values[index]) for layer in self.cache]
        return Encoded(cache, None if self.hidden is None else self.hidden[index])


@dataclass
class ContextState:
    """A context and which predictions are asked of it.

    ``first`` (B,): the first real row of a left-padded context (None: no padding).
    ``after`` (B, P): the context row that each prediction follows.
    ``encoded``: filled per landscape on first use, with a graph if there was one when the context
    was given: a thinking step at inference enables gradients for its candidates alone.
    """

    context: Tensor  # (B, S, D)
    first: Tensor | None
    after: Tensor
    encoded: dict[int, Encoded] = field(default_factory=dict)
    graph: bool = field(default_factory=torch.is_grad_enabled)

    def rows(self, index: Tensor) -> ContextState:
        """Some of the problems, with their caches."""
        first = None if self.first is None else self.first[index]
        encoded = {landscape: one.rows(index) for landscape, one in self.encoded.items()}
        return replace(
            self,
            context=self.context[index],
            first=first,
            after=self.after[index],
            encoded=encoded,
        )


class ContextStream(nn.Module):
    """One transformer over the context; ``conditioning`` may make it depend on the step.

    ``output``: is the stream's own output wanted (a first guess, a language model's logits), or
    only its keys and values? Without it the last layer's attention and feed-forward are skipped.
    """

    def __init__(self, config: TransformerConfig, conditioning: Conditioning, output: bool) -> None:
        super().__init__()
        self.config, self.output = config, output
        self.transformer = Transformer(config)
        self.conditioning = conditioning

    def encode(
        self, context: Tensor, first: Tensor | None = None, after: Tensor | None = None
    ) -> ContextState:
        """Context rows (B, S, D) → state; by default one prediction follows every row."""
        batch, rows = context.shape[:2]
        if after is None:
            after = torch.arange(rows, device=context.device).expand(batch, rows)
        return ContextState(context, first, after)

    def extend(self, state: ContextState, rows: Tensor) -> ContextState:
        """Append one context row (B, 1, D), which the next prediction follows; uses the cache."""
        after = torch.full_like(state.after[:, :1], state.context.shape[1])
        context = torch.cat([state.context, rows], dim=1)
        longer = replace(state, context=context, after=after, encoded={})
        for landscape, encoded in state.encoded.items():
            longer.encoded[landscape] = self._continue(longer, landscape, encoded)
        return longer

    def encoded(self, state: ContextState, step: int) -> Encoded:
        """The context as this step's landscape sees it; computed at most once per landscape."""
        per_step = self.conditioning.encode_per_step
        landscape = self.conditioning.landscape(step) if per_step else 0
        if landscape not in state.encoded:
            with torch.set_grad_enabled(state.graph):
                state.encoded[landscape] = self._begin(state, landscape)
        return state.encoded[landscape]

    def hidden(self, state: ContextState) -> Tensor | None:
        """Stream output after each prediction's row (B, P, D), by the first landscape."""
        hidden = self.encoded(state, 0).hidden
        if hidden is None or state.after.shape[1] == hidden.shape[1]:
            return hidden
        return hidden.gather(1, state.after[..., None].expand(-1, -1, hidden.shape[-1]))

    def lead(self, step: int) -> int:
        """How many rows the conditioning puts before the context (0 or 1)."""
        return int(self.conditioning.prefix(step) is not None)

    def turn(self, positions: Tensor, first: Tensor | None) -> Rotation:
        """Rotation of rows (B or 1, R), counted from each sequence's first real row."""
        if first is not None:
            positions = positions - first[:, None]
        dtype = next(self.parameters()).dtype
        return rotation(positions, self.config.head_dim, self.config.rope_base, dtype)

    def visible(self, state: ContextState, after: Tensor, lead: int) -> Tensor:
        """Which context rows each row of ``after`` (B, R) sees: (B, R, lead + S) bool."""
        keys = torch.arange(state.context.shape[1], device=after.device)
        visible = keys <= after[..., None]
        if state.first is not None:
            visible = visible & (keys >= state.first[:, None, None])
        return F.pad(visible, (lead, 0), value=True)

    def _begin(self, state: ContextState, landscape: int) -> Encoded:
        """Encode a whole context."""
        x, prefix = state.context, self.conditioning.prefix(landscape)
        rows = torch.arange(x.shape[1], device=x.device)[None]
        lead = self.lead(landscape)
        turn = self.turn(rows + lead, state.first)
        visible = None
        if state.first is not None:
            after = rows.expand(len(x), -1)
            # A padding row sees itself, so that its softmax is defined; nobody reads it.
            itself = F.pad(torch.eye(x.shape[1], dtype=torch.bool, device=x.device), (lead, 0))
            visible = (self.visible(state, after, lead) | itself)[:, None]
        if prefix is not None:
            x = torch.cat([prefix.expand(len(x), 1, -1), x], dim=1)
            origin = self.turn(torch.zeros_like(rows[:, :1]), None)
            turn = _concatenate(origin, turn)
            visible = None if visible is None else _lead_row(visible)
        wanted = self.output and landscape == 0
        hidden, cache = self.transformer.context(
            x, turn, visible, modulation=self.modulation(landscape), output=wanted
        )
        return Encoded(cache, hidden[:, lead:] if hidden is not None else None)

    def _continue(self, state: ContextState, landscape: int, past: Encoded) -> Encoded:
        """Encode the last row of a context whose other rows are cached."""
        rows, lead = state.after[:, :1], self.lead(landscape)
        hidden, cache = self.transformer.context(
            state.context[:, -1:],
            self.turn(rows + lead, state.first),
            self.visible(state, rows, lead)[:, None],
            past=past.cache,
            modulation=self.modulation(landscape),
            output=past.hidden is not None,
        )
        if hidden is not None and past.hidden is not None:
            hidden = torch.cat([past.hidden, hidden], dim=1)
        return Encoded(cache, hidden)

    def modulation(self, step: int) -> ModulationOf:
        """Per-layer modulation at this step."""
        return lambda layer: self.conditioning.block(layer, step)


def _concatenate(head: Rotation, tail: Rotation) -> Rotation:
    pairs = [(h.expand(len(t), -1, -1, -1), t) for h, t in zip(head, tail, strict=True)]
    cos, sin = (torch.cat(pair, dim=2) for pair in pairs)
    return Rotation(cos, sin)


def _lead_row(visible: Tensor) -> Tensor:
    """Put a row before a mask (B, 1, S, 1 + S): the leading row sees itself alone."""
    row = torch.zeros_like(visible[:, :, :1])
    row[..., 0] = True
    return torch.cat([row, visible], dim=2)
