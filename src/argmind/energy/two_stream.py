"""The autoregressive body: a context stream and a candidate stream with the same weights.

Candidate i answers "what follows context row i?": it sits one position after that row, attends
to rows up to it and to itself, never to another candidate. All positions are scored in one pass.
Source: Energy-Based Transformers, section 3 (autoregressive form).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from argmind.config import PartConfig, part
from argmind.energy.base import EnergyModel
from argmind.energy.level import Level, record
from argmind.errors import UserError
from argmind.kernels.attention.problem import Limits
from argmind.nn.conditioning.base import Step
from argmind.nn.context import ContextState, ContextStream
from argmind.nn.flops import candidate_flops, causal_pairs, context_flops, linear_flops
from argmind.nn.position import Rotation
from argmind.nn.transformer import TransformerConfig
from argmind.registry import register
from argmind.spaces.base import Embedding


@register("body", "two_stream")
class TwoStream(EnergyModel):
    """Two streams through one transformer; energy read from each candidate's last hidden state.

    Cost of one energy: one transformer pass over B·N·P candidate rows. The context is encoded
    once for all steps and candidates, unless the step conditioning reaches into it.
    ``amortised``: the context stream's output is wanted too, as a first guess.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: TransformerConfig = field(default_factory=TransformerConfig)
        conditioning: PartConfig = part("conditioning", "candidate")
        head: PartConfig = part("head", "bilinear")
        #: Add a reading of the context alone, the loss that no candidate can be without? It is
        #: what energies are then taught to foretell losses by (objective.energy_weight).
        level: bool = False

    def __init__(
        self, config: Config, landscapes: int, amortised: bool, pair_dim: int | None = None
    ) -> None:
        super().__init__()
        dims = config.transformer
        conditioning = config.conditioning.build(dims.hidden_dim, dims.num_layers, landscapes)
        self.stream = ContextStream(dims, conditioning, output=amortised or config.level)
        if config.level and conditioning.encode_per_step:
            raise UserError(
                "body.level reads the context's output, which this conditioning makes anew for "
                "every step: choose conditioning candidate or none."
            )
        self.level = Level(dims.hidden_dim, dims.head_dim) if config.level else None
        self.remembers = config.level
        self.head = config.head.build(dims.hidden_dim, pair_dim or dims.hidden_dim)
        self.adds_to_guess = self.head.adds_to_guess
        if self.adds_to_guess and not self.stream.output:
            raise UserError(
                "head.readout=guess adds to a first guess, and thinking starts without one: set "
                "thinking.start=amortised."
            )
        if conditioning.zero_head:
            self.head.zero()

    def encode(
        self, context: Tensor, first: Tensor | None = None, after: Tensor | None = None
    ) -> ContextState:
        """Context rows (B, S, D) → state; see :meth:`ContextStream.encode`."""
        return self.stream.encode(context, first, after)

    def remember(self, state: ContextState, losses: Callable[[Tensor], Tensor]) -> ContextState:
        """Judge what the stream's output said at every row but the last, for the level to know."""
        hidden = self.stream.encoded(state, 0).hidden
        assert hidden is not None  # with a level the stream is built with its output
        # Not no_grad: older autocast would keep casts of weights made there, without gradients.
        judged = losses(hidden[:, :-1].detach()).detach()
        return replace(state, record=record(judged, state.first))

    def extend(self, state: ContextState, rows: Tensor) -> ContextState:
        """Append one context row (B, 1, D), which the next prediction follows.

        A row alone does not say how right the guess of it was.
        """
        if state.record is not None:
            raise ValueError("a context that is remembered cannot be extended: encode it anew")
        return self.stream.extend(state, rows)

    def keep(self, state: ContextState, rows: Tensor) -> ContextState:
        """The state of some of its problems, by index."""
        return state.rows(rows)

    def fixed(self, state: ContextState, capacity: int) -> ContextState:
        """The same state in buffers of fixed size, extended in place."""
        return self.stream.fixed(state, capacity)

    def at(self, state: ContextState, step: int) -> ContextState:
        """The state of this step's landscape."""
        return self.stream.at(state, step)

    def ready(self, state: ContextState, step: Step) -> None:
        """Encode the context as this step sees it, if nobody has yet."""
        self.stream.encoded(state, step)

    def hidden(self, state: ContextState) -> Tensor | None:
        """Context stream output at each prediction (B, P, D)."""
        return self.stream.hidden(state)

    def predictions(self, state: ContextState) -> torch.Size:
        """(B, P)."""
        return state.after.shape

    def energy(self, state: ContextState, embedding: Embedding, step: Step) -> Tensor:
        """Energies (B, N, P) of candidates seen as ``embedding`` (B, N, P, D)."""
        stream = self.stream
        batch, count, asked, dim = embedding.input.shape
        lead = stream.lead(step)
        x = stream.conditioning.shift_candidate(embedding.input, step)
        hidden = stream.transformer.candidate(
            x.reshape(batch, count * asked, dim),
            stream.turn(state.after.repeat(1, count) + 1 + lead, state.first),
            Limits(state.after, state.first, lead),
            stream.encoded(state, step).cache,
            modulation=stream.modulation(step),
        )
        final = stream.conditioning.final(step)
        if final is not None:
            hidden = hidden * (1 + final[1]) + final[0]
        guessed = self._output(state)[:, None] if self.adds_to_guess else None
        energy = self.head.score(hidden.view(batch, count, asked, dim), embedding, guessed)
        if self.level is None:
            return energy
        return energy + self._level(state, self.level, self._output(state))[:, None]

    def level_to_learn(self, state: ContextState) -> Tensor | None:
        """(B, P)."""
        if self.level is None:
            return None
        return self._level(state, self.level, self._output(state).detach())

    def _level(self, state: ContextState, level: Level, hidden: Tensor) -> Tensor:
        """(B, P)."""
        past, rows = state.record, state.after[..., None]
        if past is not None:
            past = past.gather(1, rows.expand(*rows.shape[:-1], past.shape[-1]))
        return level(hidden, self._places(state), past)

    def _output(self, state: ContextState) -> Tensor:
        hidden = self.stream.hidden(state)
        assert hidden is not None  # whoever asks has it built with its output
        return hidden

    def _places(self, state: ContextState) -> Rotation:
        return self.stream.turn(state.after, state.first)

    def encode_flops(self, length: int, steps: float) -> float:
        """One pass of the context stream; where it depends on the step, one per landscape.

        Without an amortised start, and after the first landscape, keys and values suffice. A level
        is read with every energy, and is nothing that a candidate's gradient passes.
        """
        stream = self.stream
        rows = length + stream.lead(0)
        first = context_flops(stream.transformer, rows, stream.output)
        if self.level is not None:
            first += length * steps * linear_flops(self.level)
        if not stream.conditioning.encode_per_step:
            return first
        more = max(0, min(steps, stream.conditioning.landscapes) - 1)
        return first + more * context_flops(stream.transformer, rows, output=False)

    def energy_flops(self, length: int) -> float:
        """One pass of the candidate stream, and the head."""
        pairs = causal_pairs(length) + length * self.stream.lead(0)
        passed = candidate_flops(self.stream.transformer, length, pairs)
        return passed + length * linear_flops(self.head)

    def narrow(self, state: ContextState, active: Tensor) -> tuple[ContextState, Rows] | None:
        """Keep sequences with an active prediction, and the most columns any of them needs."""
        most = int(active.sum(1).max())
        if most == active.shape[1] and bool(active.any(1).all()):
            return None
        rows = active.any(1).nonzero()[:, 0]
        columns = active[rows].int().argsort(dim=1, descending=True, stable=True)[:, :most]
        columns = columns.sort(dim=1).values  # in their order, as the context's output is
        fewer = state.rows(rows) if len(rows) < len(active) else state
        return replace(fewer, after=fewer.after.gather(1, columns)), Rows(rows, columns)


@dataclass(frozen=True)
class Rows:
    """Chosen sequences (B',) and, of each, chosen predictions (B', P')."""

    rows: Tensor
    columns: Tensor

    def _index(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        candidates = torch.arange(x.shape[1], device=x.device)[None, :, None]
        return self.rows[:, None, None], candidates, self.columns[:, None, :]

    def take(self, x: Tensor) -> Tensor:
        """(B, N, P, …) → (B', N, P', …)."""
        return x[self._index(x)]

    def put(self, full: Tensor, rows: Tensor) -> Tensor:
        """A copy of ``full`` with the chosen rows replaced."""
        full = full.clone()
        full[self._index(full)] = rows
        return full
