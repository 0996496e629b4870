"""Bringing observations and actions to the scale that networks work at, and back.

``code = x · scale + offset``, per element, fitted on the training episodes and saved beside the
run. Elements that never change are only moved to 0. Source: Chi et al. 2023 (Diffusion Policy).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from argmind.data.base import digest_of
from argmind.data.storage import replacing
from argmind.errors import UserError, unknown

#: ``min_max``: onto [-1, 1]; ``gaussian``: to mean 0 and standard deviation 1.
Kind = Literal["min_max", "gaussian"]
NORMALISER_FILE = "normaliser.safetensors"
#: What varies by less than this is taken for constant.
_CONSTANT = 1e-4

Array = TypeVar("Array", Tensor, NDArray[np.float32])
Numbers = NDArray[np.float32]


class _Scale(NamedTuple):
    """Of every element of one vector."""

    scale: Numbers
    offset: Numbers


class Normaliser:
    """Codes of named vectors (…, D), ``state`` and ``actions``, as arrays or as tensors."""

    def __init__(self, scales: Mapping[str, tuple[Numbers, Numbers]]) -> None:
        self._scales = {name: _Scale(*scale) for name, scale in scales.items()}

    @classmethod
    def fit(cls, kind: Kind, rows: Mapping[str, Numbers]) -> Normaliser:
        """The normaliser of named vectors, each given as rows (R, D)."""
        measure = _min_max if kind == "min_max" else _gaussian
        return cls({name: measure(values.astype(np.float64)) for name, values in rows.items()})

    @property
    def sizes(self) -> dict[str, int]:
        """Elements of every vector it knows."""
        return {name: len(scale.scale) for name, scale in self._scales.items()}

    def encode(self, name: str, x: Array) -> Array:
        """From the environment's units to the network's.

        Raises:
            UserError: it has no vector of this name, or of another size.
        """
        scale, offset = self._of(name, x)
        return x * scale + offset

    def decode(self, name: str, x: Array) -> Array:
        """From the network's units to the environment's."""
        scale, offset = self._of(name, x)
        return (x - offset) / scale

    def _of(self, name: str, x: Array) -> tuple[Array, Array]:
        if name not in self._scales:
            raise unknown("normalised vector", name, self._scales)
        found = self._scales[name]
        if x.shape[-1] != len(found.scale):
            raise UserError(
                f"'{name}' has {x.shape[-1]} numbers, where the policy was trained with "
                f"{len(found.scale)}: use the environment of its demonstrations."
            )
        if isinstance(x, Tensor):
            return torch.from_numpy(found.scale).to(x), torch.from_numpy(found.offset).to(x)
        return found.scale, found.offset

    # -------------------------------------------------------------- files

    def save_assets(self, folder: Path) -> None:
        """Write ``normaliser.safetensors`` into a run's folder, whole or not at all."""
        tensors = {
            f"{name}.{part}": np.ascontiguousarray(value)
            for name, scale in self._scales.items()
            for part, value in scale._asdict().items()
        }
        content = safetensors.numpy.save(tensors, metadata={"digest": _digest(tensors)})
        with replacing(folder / NORMALISER_FILE) as handle:
            handle.write(content)

    @classmethod
    def load(cls, folder: str | Path) -> Normaliser:
        """The normaliser of a run.

        Raises:
            UserError: its file is missing or damaged.
        """
        path = Path(folder) / NORMALISER_FILE
        if not path.is_file():
            raise UserError(
                f"{folder} has no {NORMALISER_FILE}: it is not a policy's run, or not whole."
            )
        try:
            with safetensors.safe_open(path, "numpy") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                intact = (file.metadata() or {}).get("digest") == _digest(tensors)
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}); restore it from a copy.") from error
        if not intact:
            raise UserError(f"{path} is damaged (its digest is wrong); restore it from a copy.")
        names = {name.rpartition(".")[0] for name in tensors}
        return cls({name: (tensors[f"{name}.scale"], tensors[f"{name}.offset"]) for name in names})


def _digest(tensors: Mapping[str, Numbers]) -> str:
    return digest_of(*((name, tensors[name].tolist()) for name in sorted(tensors)))


def _min_max(rows: NDArray[np.float64]) -> tuple[Numbers, Numbers]:
    low, high = rows.min(axis=0), rows.max(axis=0)
    return _scale((low + high) / 2, (high - low) / 2, changes=high - low >= _CONSTANT)


def _gaussian(rows: NDArray[np.float64]) -> tuple[Numbers, Numbers]:
    spread = rows.std(axis=0)
    return _scale(rows.mean(axis=0), spread, changes=spread >= _CONSTANT)


def _scale(
    middle: NDArray[np.float64], reach: NDArray[np.float64], changes: NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    scale = 1 / np.where(changes, reach, 1.0)
    return scale.astype(np.float32), (-middle * scale).astype(np.float32)


def picture_code(images: NDArray[np.uint8]) -> Tensor:
    """Pictures (…, H, W, 3) of 8 bits as a network sees them: (…, 3, H, W) within [-1, 1]."""
    planes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))
    return planes.to(torch.float32) / 127.5 - 1
