"""The energy of a chunk of actions under what was observed.

Source: EBT-Policy (arXiv 2510.27545) and its public code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from argmind.config import PartConfig, part
from argmind.energy.base import EnergyModel
from argmind.energy.bidirectional import Problems
from argmind.energy.heads.base import alone
from argmind.errors import UserError
from argmind.nn.bidirectional import RowsConfig
from argmind.nn.conditioning.base import Step
from argmind.nn.flops import linear_flops
from argmind.nn.observed import FrameEncoder, ObservedTransformer
from argmind.nn.self_attention import KeysValues
from argmind.registry import register
from argmind.spaces.base import Embedding


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(RowsConfig):
    """The published sizes: 5.4 M weights, and 3.2 M that read the observations."""

    num_layers: int = 8
    num_heads: int = 4
    hidden_dim: int = 256
    qk_norm: bool = True
    feedforward: PartConfig = part("feedforward", "gelu", multiplier=1.0)
    norm: PartConfig = part("norm", "rms", eps=1e-6)


@dataclass
class PolicyState:
    """What each block looks at: keys and values of the observed frames."""

    seen: list[KeysValues]

    def pick(self, index: Tensor) -> PolicyState:
        """Some of the problems."""
        return PolicyState([KeysValues(*(x[index] for x in each)) for each in self.seen])


@register("body", "policy")
class PolicyBody(EnergyModel):
    """One energy per chunk: the mean over its actions of a head's reading of each.

    Frames are read by causal blocks, once; actions attend to one another and to the frames. All
    thinking steps descend the same landscape: there is no step embedding. Cost of one energy: one
    transformer pass over B·N chunks of L actions.
    """

    reads = "frames"

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        transformer: PolicyConfig = field(default_factory=PolicyConfig)
        #: Layers that read the frames; None: as many as read actions.
        frame_layers: int | None = None
        head: PartConfig = part("head", "mlp")

        def __post_init__(self) -> None:
            if self.frame_layers is not None and self.frame_layers < 1:
                raise ValueError(f"frame_layers must be at least 1, got {self.frame_layers}")

    def __init__(
        self,
        config: Config,
        landscapes: int,  # noqa: ARG002
        amortised: bool,  # noqa: ARG002
        pair_dim: int | None = None,
        frames: int = 2,
    ) -> None:
        super().__init__()
        dims, self.frames = config.transformer, frames
        self.observed = FrameEncoder(dims, config.frame_layers or dims.num_layers, frames)
        self.transformer = ObservedTransformer(dims)
        head = config.head.build(dims.hidden_dim, pair_dim or dims.hidden_dim)
        self.head = alone(head, config.part_name)

    def encode(
        self, context: Tensor, first: Tensor | None = None, after: Tensor | None = None
    ) -> PolicyState:
        """Rows of observed frames (B, F, D) → state; there are no positions to ask for.

        Raises:
            UserError: another number of frames than the model was built for.
        """
        if first is not None or after is not None:
            raise ValueError("a policy answers whole problems, not positions of them")
        if context.shape[1] != self.frames:
            raise UserError(
                f"this model looks at the last {self.frames} frames, and got {context.shape[1]}."
            )
        return PolicyState(self.transformer.keys_values(self.observed(context)))

    def keep(self, state: PolicyState, rows: Tensor) -> PolicyState:
        """The state of some of its problems, by index."""
        return state.pick(rows)

    def at(self, state: PolicyState, step: int) -> PolicyState:  # noqa: ARG002
        """Every step sees the same."""
        return state

    def hidden(self, state: PolicyState) -> None:
        """There is no first guess."""

    def predictions(self, state: PolicyState) -> torch.Size:
        """(B,): one chunk a problem."""
        return state.seen[0].keys.shape[:1]

    def energy(self, state: PolicyState, embedding: Embedding, step: Step) -> Tensor:  # noqa: ARG002
        """Energies (B, N) of chunks seen as ``embedding`` (B, N, L, D)."""
        hidden = self.transformer(embedding.input, state.seen)
        return self.head.score(hidden, embedding).mean(-1)

    def encode_flops(self, length: int, steps: float) -> float:  # noqa: ARG002
        """Reading the frames, and every block's keys and values of them."""
        keys_values = self.frames * self.transformer.keys_values_flops()
        return self.observed.flops(self.frames) + keys_values

    def energy_flops(self, length: int) -> float:
        """One pass over a chunk's actions, and the head."""
        return self.transformer.flops(length, self.frames) + length * linear_flops(self.head)

    def pair_flops(self, length: int) -> float:
        """Attention of actions among themselves; what they see of the frames is constant."""
        return self.transformer.pair_flops(length)

    def narrow(self, state: PolicyState, active: Tensor) -> tuple[PolicyState, Problems] | None:
        """Keep problems (B,) that are active."""
        if bool(active.all()):
            return None
        rows = active.nonzero()[:, 0]
        return state.pick(rows), Problems(rows)
