"""What an observation encoder does.

Shapes: B problems, F frames of each, oldest first, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from argmind.errors import UserError
from argmind.registry import Part

#: Shapes of one frame's observations, by name: ``{"state": (Ds,), "image": (3, H, W)}``.
Observations = Mapping[str, tuple[int, ...]]


class ObservationEncoder(nn.Module, Part):
    """``forward(problem) → rows (B, F, D)``, each of its own frame alone.

    Built with the width D and the shapes of what is observed. It is part of the context: encoded
    once for all thinking steps, and differentiated once.
    """

    def forward(self, problem: Mapping[str, Tensor]) -> Tensor:
        """A row per frame."""
        raise NotImplementedError

    def flops(self) -> float:
        """Forward matmul and convolution FLOPs of one frame."""
        raise NotImplementedError


def size_of(observations: Observations, name: str, who: str) -> tuple[int, ...]:
    """Shape of one frame of this observation.

    Raises:
        UserError: the data does not have it.
    """
    if name not in observations:
        raise UserError(
            f"observation encoder '{who}' reads '{name}', and the data observes only "
            f"{', '.join(sorted(observations))}: choose another one "
            "(`argmind list observation`) or other data."
        )
    return tuple(observations[name])


def asked(problem: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """This observation of every frame (B, F, …).

    Raises:
        UserError: it is missing, or not of the shape that the model was built for.
    """
    if name not in problem:
        raise UserError(f"this model needs '{name}', and the problem has only {sorted(problem)}.")
    frames = problem[name]
    if frames.ndim != 2 + len(shape) or tuple(frames.shape[2:]) != shape:
        raise UserError(
            f"'{name}' should be (problems, frames, {', '.join(map(str, shape))}), "
            f"got {tuple(frames.shape)}."
        )
    return frames
