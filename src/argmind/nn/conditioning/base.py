"""What step conditioning may do to a transformer."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from argmind.registry import Part

#: Which thinking step: a number, or a tensor of one, for code that is the same at every step.
Step = int | Tensor


class Modulation(NamedTuple):
    """Shift, scale and gate of a block's two halves (attention, feed-forward), each (dim,)."""

    attention_shift: Tensor
    attention_scale: Tensor
    attention_gate: Tensor
    feedforward_shift: Tensor
    feedforward_scale: Tensor
    feedforward_gate: Tensor


class Conditioning(nn.Module, Part):
    """Step conditioning; the base class does nothing at all.

    ``landscapes`` is the number of steps told apart; later steps repeat the last landscape.
    """

    #: Does the context stream depend on the step? Then the context is encoded once per landscape.
    encode_per_step: ClassVar[bool] = False
    #: Does the head start at zero?
    zero_head: ClassVar[bool] = False

    def __init__(self, landscapes: int) -> None:
        super().__init__()
        self.landscapes = landscapes

    def landscape(self, step: int) -> int:
        """Index of the landscape that scores this step."""
        return min(step, self.landscapes - 1)

    def of_step(self, rows: Tensor, step: Step) -> Tensor:
        """This step's row (dim,) of one for each landscape."""
        if isinstance(step, Tensor):
            index = step.clamp(max=self.landscapes - 1).reshape(1)
            return rows.index_select(0, index)[0]
        return rows[self.landscape(step)]

    def shift_candidate(self, x: Tensor, step: Step) -> Tensor:  # noqa: ARG002
        """Candidate-stream input (B, R, dim) at this step."""
        return x

    def prefix(self, step: Step) -> Tensor | None:  # noqa: ARG002
        """A leading context row (dim,), or None."""
        return None

    def block(self, layer: int, step: Step) -> Modulation | None:  # noqa: ARG002
        """Modulation of one block, or None."""
        return None

    def final(self, step: Step) -> tuple[Tensor, Tensor] | None:  # noqa: ARG002
        """Shift and scale (dim,) before the head, or None."""
        return None


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """``x · (1 + scale) + shift``."""
    return x * (1 + scale) + shift


class StepEmbedding(Conditioning):
    """A learned embedding per landscape, which the context sees too: encoded per landscape."""

    encode_per_step = True

    def __init__(self, dim: int, landscapes: int) -> None:
        super().__init__(landscapes)
        self.steps = nn.Embedding(landscapes, dim)

    def embedding(self, step: Step) -> Tensor:
        """The step's embedding (dim,)."""
        return self.of_step(self.steps.weight, step)
