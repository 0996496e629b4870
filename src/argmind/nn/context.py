"""A context stream: causal attention over given rows, encoded once, extended row by row.

Energy models put a candidate stream on top of it; Transformer++ reads its output directly.
Shapes: B problems, S context rows, P predictions asked, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.kernels.attention.problem import Limits
from argmind.nn.cache import Fixed, Growing, Room, with_room
from argmind.nn.conditioning.base import Conditioning, Step
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

    def with_room(self, capacity: int) -> Encoded:
        """The same in buffers of ``capacity`` rows."""
        cache = [
            KeysValues(*(with_room(x, capacity, axis=2) for x in layer)) for layer in self.cache
        ]
        return Encoded(cache, self.hidden)


@dataclass
class ContextState:
    """A context and which predictions are asked of it.

    ``first`` (B,): the first real row of a left-padded context (None: no padding).
    ``after`` (B, P): the context row that each prediction follows.
    ``encoded``: filled per landscape by :meth:`ContextStream.encoded`.
    ``room``: what the context grows in.
    ``record`` (B, S, R): what is known at each row of how right the guesses before it were.
    """

    context: Tensor  # (B, S, D)
    first: Tensor | None
    after: Tensor
    room: Room
    encoded: dict[int, Encoded] = field(default_factory=dict)
    record: Tensor | None = None

    def refill(self, state: ContextState) -> None:
        """Write another state of as many problems into the buffers of this fixed one."""
        assert isinstance(self.room, Fixed)
        pairs = [(self.context, state.context, 1)]
        for landscape, encoded in self.encoded.items():
            for mine, other in zip(encoded.cache, state.encoded[landscape].cache, strict=True):
                pairs += [(a, b, 2) for a, b in zip(mine, other, strict=True)]
        for buffer, rows, axis in pairs:
            buffer.narrow(axis, 0, rows.shape[axis]).copy_(rows)
        if self.first is not None and state.first is not None:
            self.first.copy_(state.first)
        self.room.place.fill_(state.context.shape[1])

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
            room=self.room.another(),
            record=None if self.record is None else self.record[index],
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
        return ContextState(context, first, after, Growing())

    @torch.no_grad()
    def extend(self, state: ContextState, rows: Tensor) -> ContextState:
        """Append one context row (B, 1, D), which the next prediction follows; uses the cache."""
        if isinstance(state.room, Fixed):
            after = state.room.place.expand(len(state.after), 1)
        else:
            after = torch.full_like(state.after[:, :1], state.context.shape[1])
        context = state.room.append("context", state.context, rows, 1)
        longer = replace(state, context=context, after=after, encoded={})
        for landscape, encoded in state.encoded.items():
            longer.encoded[landscape] = self._continue(longer, landscape, encoded, rows)
        return longer

    def fixed(self, state: ContextState, capacity: int) -> ContextState:
        """The same state in buffers for ``capacity`` rows, which are then extended in place.

        ``room.place`` is the row to be written next: whoever extends moves it on. What has been
        encoded so far is all there will be: every landscape that is asked for must be among it.
        """
        place = torch.full((1,), state.context.shape[1], device=state.after.device)
        encoded = {
            landscape: one.with_room(capacity + self.lead(landscape))
            for landscape, one in state.encoded.items()
        }
        context = with_room(state.context, capacity, axis=1)
        return replace(state, context=context, encoded=encoded, room=Fixed(place))

    def at(self, state: ContextState, step: int) -> ContextState:
        """The state of this step's landscape alone."""
        return replace(state, encoded={0: self.encoded(state, step)})

    def encoded(self, state: ContextState, step: Step) -> Encoded:
        """The context as this step's landscape sees it; computed at most once per landscape.

        Of a step that is a tensor, the state is that of its landscape alone.
        """
        if isinstance(step, Tensor):
            return state.encoded[0]
        per_step = self.conditioning.encode_per_step
        landscape = self.conditioning.landscape(step) if per_step else 0
        if landscape not in state.encoded:
            state.encoded[landscape] = self._begin(state, landscape)
        return state.encoded[landscape]

    def hidden(self, state: ContextState) -> Tensor | None:
        """Stream output after each prediction's row (B, P, D), by the first landscape.

        Of a context that was extended only the last row's is known: nothing else is asked.
        """
        hidden = self.encoded(state, 0).hidden
        if hidden is None or state.after.shape[1] == hidden.shape[1]:
            return hidden
        return hidden.gather(1, state.after[..., None].expand(-1, -1, hidden.shape[-1]))

    def lead(self, step: Step) -> int:
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
        return Limits(after, state.first, lead).mask_of(after, lead + state.context.shape[1])

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

    def _continue(self, state: ContextState, landscape: int, past: Encoded, row: Tensor) -> Encoded:
        """Encode the last row of a context whose other rows are cached."""
        rows, lead = state.after[:, :1], self.lead(landscape)

        taking = [
            state.room.taking((landscape, layer), seen, lead)
            for layer, seen in enumerate(past.cache)
        ]
        hidden, _ = self.transformer.context(
            row,
            self.turn(rows + lead, state.first),
            self.visible(state, rows, lead)[:, None],
            append=taking.__getitem__,
            modulation=self.modulation(landscape),
            output=past.hidden is not None,
        )
        return Encoded([one.seen for one in taking], hidden)

    def modulation(self, step: Step) -> ModulationOf:
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
