"""What policies without an energy share: frames read once, and a transformer over a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn import functional as F

from argmind.config import PartConfig, part
from argmind.energy.policy import PolicyState
from argmind.errors import UserError
from argmind.nn.chunks import ChunkConfig, ChunkTransformer, LearnedRows, Reading
from argmind.nn.flops import linear_flops
from argmind.nn.observation.base import Observations
from argmind.nn.self_attention import KeysValues
from argmind.predictors.base import Predictor


@dataclass(frozen=True, kw_only=True)
class ChunkPolicyConfig(PartConfig):
    """What is observed, and how large the transformer is."""

    observation: PartConfig = part("observation", "state")
    transformer: ChunkConfig = field(default_factory=ChunkConfig)


class ChunkPolicy(Predictor):
    """Problems as :class:`argmind.spaces.actions.ActionSpace` knows them, judged as it judges.

    Frames are encoded once; what every block looks at of them serves all passes and candidates.
    """

    metric = "mse"

    def __init__(
        self,
        config: ChunkPolicyConfig,
        action_size: int,
        chunk: int,
        frames: int,
        observations: Observations,
        told: int,
    ) -> None:
        """``told``: so many rows beside the frames are looked at, before them."""
        super().__init__()
        dim = config.transformer.hidden_dim
        self.frames, self.told, self.shape = frames, told, (chunk, action_size)
        self.observation = config.observation.build(dim, observations)
        self.reading = Reading(told + frames, dim)
        self.places = LearnedRows(chunk, dim)
        self.transformer = ChunkTransformer(config.transformer, chunk, frames, told)
        self.readout = nn.Linear(dim, action_size)
        nn.init.normal_(self.readout.weight, std=0.02)
        nn.init.zeros_(self.readout.bias)

    # -------------------------------------------------------------- problems

    def encode(
        self, context: Mapping[str, Tensor], first: Tensor | None = None, last_only: bool = False
    ) -> PolicyState:
        """What was observed, as keys and values of every block.

        Raises:
            UserError: another number of frames than the model was built for.
        """
        if first is not None or last_only:
            raise ValueError("a policy answers whole problems, not positions of them")
        rows = self.observation(context)
        if rows.shape[1] != self.frames:
            raise UserError(
                f"this model looks at the last {self.frames} frames, and got {rows.shape[1]}."
            )
        return PolicyState(self.transformer.keys_values(self.reading(rows, self.told)))

    def keep(self, state: PolicyState, rows: Tensor) -> PolicyState:
        """The state of some of its problems, by index."""
        return state.pick(rows)

    def task(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """What was observed, and the actions that followed."""
        problem = {name: rows for name, rows in batch.items() if name != "actions"}
        return problem, batch["actions"]

    def extent(self, problem: Mapping[str, Tensor]) -> tuple[int, int]:
        """How many problems, and actions each."""
        return len(next(iter(problem.values()))), self.shape[0]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean squared error over actions and their entries, (B,)."""
        return F.mse_loss(output, target.to(output), reduction="none").mean((-2, -1))

    def acted(self, rows: Tensor, seen: list[KeysValues]) -> Tensor:
        """Actions (B, N, L, A) of rows (B, N, L, D), which are given their places."""
        return self.readout(self.transformer(rows + self.places(), seen))

    # -------------------------------------------------------------- cost

    def read_flops(self, rows: int) -> float:
        """So many rows to look at, encoded already, as keys and values of every block."""
        return rows * (linear_flops(self.reading) + self.transformer.keys_values_flops())

    def encode_flops(self) -> float:
        """Reading one problem's frames."""
        return self.frames * self.observation.flops() + self.read_flops(self.frames)

    def acted_flops(self) -> float:
        """One pass over a chunk; pairs that do not see each other are computed too."""
        passed = self.transformer.flops(self.shape[0], self.told + self.frames)
        return passed + self.shape[0] * linear_flops(self.readout)
