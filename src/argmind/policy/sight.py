"""What a policy sees: observations checked, remembered, stacked, and made into its problem."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.normaliser import Normaliser, picture_code
from argmind.errors import UserError, suggestion

Array = NDArray[Any]
Observation = Mapping[str, Any]

_IMAGE = "image"


class Sight:
    """The observations a policy was trained on, by name and shape (an image as (3, H, W))."""

    def __init__(
        self, shapes: Mapping[str, Sequence[int]], frames: int, normaliser: Normaliser
    ) -> None:
        self.shapes = {name: _as_seen(name, tuple(shape)) for name, shape in shapes.items()}
        self.frames = frames
        self.normaliser = normaliser

    def checked(self, observation: Observation) -> dict[str, Array]:
        """One observation as arrays: "state" float32 (Ds,), "image" uint8 (H, W, 3).

        Raises:
            UserError: something is missing, unknown, of another shape or kind, or not finite.
        """
        return self._read(observation, ())

    def stacked(
        self, observations: Sequence[Sequence[Observation]] | Observation
    ) -> dict[str, Array]:
        """Histories, oldest frame first, as arrays (B, frames, …); stacked ones are checked.

        Raises:
            UserError: as :meth:`checked`, or a history of another length.
        """
        if isinstance(observations, Mapping):
            first = np.asarray(observations.get(next(iter(self.shapes)), ()))
            rows = len(first) if first.ndim else 0
            stacked = self._read(observations, (rows, self.frames))
        else:
            rows = len(observations)
            for history in observations:
                if len(history) != self.frames:
                    raise UserError(
                        f"the policy looks at {self.frames} frames, and a history has "
                        f"{len(history)}."
                    )
            read = [[self.checked(one) for one in history] for history in observations]
            stacked = {
                name: np.stack([[one[name] for one in history] for history in read])
                for name in (self.shapes if rows else ())
            }
        if not rows:
            raise UserError("there is nothing to plan for: no observations.")
        return stacked

    def problem(self, stacked: Mapping[str, Array], device: torch.device) -> dict[str, Tensor]:
        """Stacked observations as the model's problem: normalised, images (…, 3, H, W) in ±1."""
        problem: dict[str, Tensor] = {}
        for name, value in stacked.items():
            if name == _IMAGE:
                problem[name] = picture_code(value).to(device)
            else:
                problem[name] = self.normaliser.encode(name, torch.from_numpy(value).to(device))
        return problem

    def _read(self, observation: Observation, leading: tuple[int, ...]) -> dict[str, Array]:
        self._require_names(observation)
        return {
            name: _array(name, observation[name], (*leading, *shape))
            for name, shape in self.shapes.items()
        }

    def _require_names(self, observation: Observation) -> None:
        unknown = [name for name in observation if name not in self.shapes]
        missing = [name for name in self.shapes if name not in observation]
        if not unknown and not missing:
            return
        said = [f"lacks {_listed(missing)}"] if missing else []
        said += [f"has {_listed(unknown)}, which the policy does not know"] if unknown else []
        hint = suggestion(unknown[0], missing) if unknown and missing else ""
        raise UserError(
            f"the observation {' and '.join(said)}.{hint} The policy was trained on "
            f"{_listed(self.shapes)}."
        )


class History:
    """The last frames of an episode; before there are enough, the first one is repeated."""

    def __init__(self, frames: int) -> None:
        self._frames: deque[dict[str, Array]] = deque(maxlen=frames)

    def add(self, observation: dict[str, Array]) -> None:
        """Remember what is seen now."""
        room = (self._frames.maxlen or 1) if not self._frames else 1
        self._frames.extend([observation] * room)

    def clear(self) -> None:
        """Forget the episode."""
        self._frames.clear()

    @property
    def frames(self) -> list[dict[str, Array]]:
        """Oldest first."""
        return list(self._frames)


def _as_seen(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[1:], shape[0]) if name == _IMAGE else shape


def _array(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if array.shape != shape:
        raise UserError(
            f"the observation's '{name}' has shape {array.shape}; the policy was trained on "
            f"{shape}."
        )
    if name == _IMAGE:
        if array.dtype != np.uint8:
            raise UserError(
                f"the observation's '{name}' holds {array.dtype}: give pixels 0 … 255 as uint8, "
                "rows first, colours last."
            )
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.number) or not np.isfinite(array).all():
        raise UserError(f"the observation's '{name}' holds what is no finite number.")
    return np.ascontiguousarray(array, dtype=np.float32)


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
