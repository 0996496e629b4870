"""Whole frames as one row each, and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from argmind.errors import UserError
from argmind.nn.flops import linear_flops
from argmind.nn.patches import patchify, unpatchify

#: Width of a patch on its way into a frame's row, and out of it.
_PATCH_WIDTH = 32


def patch_of(image_size: int, patch: int) -> int:
    """The side of a patch: frames of one place, which are features, are patches themselves."""
    return 1 if image_size == 1 else patch


def _width(image_size: int, dim: int) -> int:
    """Width of a patch; features must not pass through less than the row is wide."""
    return _PATCH_WIDTH if image_size > 1 else max(_PATCH_WIDTH, dim)


def patches_of(image_size: int, patch: int) -> int:
    """How many patches a frame has.

    Raises:
        UserError: they do not divide it.
    """
    if image_size % patch:
        sizes = [p for p in range(1, image_size + 1) if image_size % p == 0]
        raise UserError(
            f"frames of {image_size}×{image_size} do not divide into patches of {patch}: choose "
            f"one of {', '.join(map(str, sizes))}."
        )
    return (image_size // patch) ** 2


class FrameEmbedding(nn.Module):
    """``W₂ gelu(W₁ patch + b)`` of all patches together: frames (..., C, H, W) → (..., D)."""

    def __init__(self, image_size: int, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.patch = patch = patch_of(image_size, patch)
        self.patches = patches_of(image_size, patch)
        width = _width(image_size, dim)
        self.inner = nn.Linear(channels * patch**2, width)
        self.outer = nn.Linear(self.patches * width, dim)
        _start(self)

    def forward(self, frames: Tensor) -> Tensor:
        """A row per frame."""
        return self.outer(F.gelu(self.inner(patchify(frames, self.patch))).flatten(-2))

    def flops(self) -> float:
        """Of one frame."""
        return self.patches * linear_flops(self.inner) + linear_flops(self.outer)


class FrameReadout(nn.Module):
    """The way back: rows (..., D) → frames (..., C, H, W), zeros at first."""

    def __init__(self, image_size: int, channels: int, patch: int, dim: int) -> None:
        super().__init__()
        self.patch = patch = patch_of(image_size, patch)
        self.patches = patches_of(image_size, patch)
        self.channels, self.width = channels, _width(image_size, dim)
        self.inner = nn.Linear(dim, self.patches * self.width)
        self.outer = nn.Linear(self.width, channels * patch**2)
        _start(self)
        nn.init.zeros_(self.outer.weight)

    def forward(self, rows: Tensor) -> Tensor:
        """A frame per row."""
        patches = F.gelu(self.inner(rows).unflatten(-1, (self.patches, self.width)))
        return unpatchify(self.outer(patches), self.patch, self.channels)

    def flops(self) -> float:
        """Of one frame."""
        return linear_flops(self.inner) + self.patches * linear_flops(self.outer)


class FrameContext(nn.Module):
    """Frames so far, and what is done at each, as rows (B, S, D).

    A problem is ``frames`` (B, S, C, H, W) and, where there are actions, ``actions`` (B, S, A).
    """

    def __init__(self, image_size: int, channels: int, actions: int, patch: int, dim: int) -> None:
        super().__init__()
        self.frames = FrameEmbedding(image_size, channels, patch, dim)
        self.actions = nn.Linear(actions, dim, bias=False) if actions else None
        if self.actions is not None:
            nn.init.normal_(self.actions.weight, std=0.02)

    def forward(self, problem: dict[str, Tensor]) -> Tensor:
        """The rows.

        Raises:
            UserError: the model is told actions, and the problem has none.
        """
        rows = self.frames(problem["frames"])
        if self.actions is None:
            return rows
        if "actions" not in problem:
            raise UserError("this model needs 'actions', and the problem has only frames.")
        return rows + self.actions(problem["actions"].to(rows))

    def flops(self) -> float:
        """Of one frame."""
        told = [] if self.actions is None else [self.actions]
        return self.frames.flops() + linear_flops(*told)


def frames_and_changes(batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Clips as problems, frames (and actions) but the last, and the change after each of them."""
    problem = {name: batch[name][:, :-1] for name in ("frames", "actions") if name in batch}
    return problem, batch["frames"].diff(dim=1)


def changed(frames: Tensor, change: Tensor) -> Tensor:
    """The frames that come of changes, within [−1, 1]."""
    return (frames + change).clamp(-1, 1)


def asked_after(problem: dict[str, Tensor], last_only: bool) -> Tensor | None:
    """The frames whose followers are asked for: the last (B, 1), or all (None)."""
    if not last_only:
        return None
    frames = problem["frames"]
    return torch.full((len(frames), 1), frames.shape[1] - 1, device=frames.device)


def _start(module: nn.Module) -> None:
    for layer in module.children():
        assert isinstance(layer, nn.Linear)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
