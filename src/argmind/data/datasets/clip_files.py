"""Clips that are given: .npy and .safetensors files of frames or of their features, or arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from argmind import registry
from argmind.data.base import digest_of
from argmind.data.images.base import LATENTS
from argmind.data.images.latents import read_arrays
from argmind.data.order import epoch_order
from argmind.data.paths import find_files
from argmind.data.scenes.base import Clips
from argmind.data.sources._readers import content_digest
from argmind.data.sources.base import wrong_field
from argmind.errors import UserError

_LAYOUTS = (
    "clips are (number, frames, channels, side, side) or (number, frames, side, side), and "
    "features (number, frames, numbers of one)"
)


class _Part(NamedTuple):
    """What a file holds."""

    name: str
    frames: NDArray[Any]  # (N, T, C, H, W)
    actions: NDArray[Any] | None  # (N, T, A)
    low: float
    high: float


class ClipFiles:
    """Windows of given clips; of some clips for training, of the others held out.

    Pixels are uint8, or floats in [0, 1] or [-1, 1], of 1 or 3 channels. Any other floats (frames
    of features, latents) are counted in their ``unit``, the largest of them.
    """

    def __init__(
        self, parts: Sequence[_Part], name: str, contents: Any, length: int, eval_fraction: float
    ) -> None:
        self.name, self.length = name, length
        self._frames = _joined([part.frames for part in parts])
        self._actions = None
        told = [part.actions for part in parts if part.actions is not None]
        if told:
            self._actions = _joined(told)
        count, self.longest, self.channels, self.image_size, _ = self._frames.shape
        self.action_dim = 0 if self._actions is None else self._actions.shape[-1]
        low, high = min(part.low for part in parts), max(part.high for part in parts)
        self._scale, self._offset, self.unit = _scaling(self._frames, low, high)
        most = count - 1 if eval_fraction < 1 else count
        held_out = min(most, max(1, round(count * eval_fraction)))
        order = epoch_order(0, 0, count)
        self._clips = {True: order[:held_out], False: np.sort(order[held_out:])}
        last = self.longest - length + 1
        # Training sees every window, what is measured is seen once.
        self._starts = {True: np.arange(0, last, length), False: np.arange(last)}
        self.fingerprint = digest_of("clip_files", contents, length, held_out)

    def count(self, held_out: bool) -> int:
        """Windows there are."""
        return len(self._clips[held_out]) * len(self._starts[held_out])

    def take(self, numbers: NDArray[np.int64], held_out: bool) -> Clips:
        """The windows of these numbers."""
        places, turns = np.divmod(numbers, len(self._starts[held_out]))
        clips, starts = self._clips[held_out][places], self._starts[held_out][turns]
        return self._cut(clips.tolist(), starts.tolist(), self.length)

    def whole(self, count: int, frames: int) -> Clips:
        """The first held-out clips from their beginning, of so many frames if they have them."""
        clips = self._clips[True][:count].tolist()
        return self._cut(clips, [0] * len(clips), min(frames, self.longest))

    def _cut(self, clips: list[int], starts: list[int], length: int) -> Clips:
        def windows(array: NDArray[Any]) -> NDArray[np.float32]:
            cut = [array[clip, at : at + length] for clip, at in zip(clips, starts, strict=True)]
            return np.stack(cut).astype(np.float32)

        frames = windows(self._frames) / np.float32(self._scale) + np.float32(self._offset)
        actions = None if self._actions is None else windows(self._actions)
        return Clips(frames, actions, np.zeros(frames.shape[:2], np.bool_))


def open_clips(
    spec: str, given: Any, actions: Any, *, field: str, length: int, eval_fraction: float
) -> ClipFiles:
    """The clips of a file, folder or glob; or ``given`` ones, an array as a file would hold it.

    ``eval_fraction``: share that is held out; of 1, nothing is left to train on.

    Raises:
        UserError: files that cannot be read or do not go together, numbers that are not finite,
            fewer than two clips, or clips of fewer frames than ``length``.
    """
    if given is not None:
        name = "the given clips"
        parts = [_part(name, given, actions)]
        arrays = (parts[0].frames, parts[0].actions)
        contents: Any = [None if one is None else _digest(one) for one in arrays]
    else:
        if spec in registry.names("scene"):
            raise UserError(f"'{spec}' is a scene, no file: ask for it with data.scene={spec}.")
        name, files = spec, find_files(spec, LATENTS, "scene")
        parts = [_read(path, field) for path in files]
        contents = [field, *(content_digest(path) for path in files)]
    _require_alike(parts)
    for part in parts:
        frames = part.frames.shape[1]
        if frames < length:
            raise UserError(
                f"{part.name}: its clips have {frames} frames: video shorter than the context of "
                f"data.frames={length}. Set data.frames={frames} or less."
            )
    if eval_fraction < 1 and sum(len(part.frames) for part in parts) < 2:
        raise UserError(f"{name} holds one clip: at least 2 are needed, one of them held out.")
    return ClipFiles(parts, name, contents, length, eval_fraction)


def _read(path: Path, field: str) -> _Part:
    arrays = read_arrays(path, field)
    actions = arrays.pop("actions", None)
    if field not in arrays and len(arrays) != 1:
        raise wrong_field(str(path), field, list(arrays))
    return _part(str(path), arrays.get(field, next(iter(arrays.values()))), actions)


def _part(name: str, frames: Any, actions: Any) -> _Part:
    try:
        frames = np.asarray(frames)
        actions = None if actions is None else np.asarray(actions)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} must be an array: {error}.") from error
    shape = frames.shape
    if not 3 <= frames.ndim <= 5 or not frames.size:
        raise UserError(f"{name} has the shape {shape}, where {_LAYOUTS}.")
    whole = frames.dtype == np.uint8
    if frames.ndim == 3 or not whole:
        _require_floats(name, frames)
    if frames.ndim == 3:
        frames = frames[..., None, None]
    elif frames.ndim == 4:
        frames = frames[:, :, None]
    if frames.shape[-1] != frames.shape[-2]:
        raise UserError(f"{name} has the shape {shape}: frames must be square. Cut or pad them.")
    if whole and frames.shape[2] not in (1, 3):
        raise UserError(
            f"{name} has the shape {shape}: pixels have 1 or 3 channels, in the third place."
        )
    if actions is not None:
        if actions.ndim != 3 or actions.shape[:2] != shape[:2] or not actions.shape[2]:
            raise UserError(
                f"{name}: its actions have the shape {actions.shape}, where there must be some "
                f"numbers at each of {shape[0]} clips' {shape[1]} frames."
            )
        _require_floats(f"{name}: actions", actions)
        _range(f"{name}: actions", actions)
    return _Part(name, frames, actions, *((0.0, 255.0) if whole else _range(name, frames)))


def _require_floats(name: str, numbers: NDArray[Any]) -> None:
    if not np.issubdtype(numbers.dtype, np.floating):
        raise UserError(
            f"{name} holds {numbers.dtype} of shape {numbers.shape}, where frames are uint8 or "
            "floats, features and actions floats."
        )


def _range(name: str, clips: NDArray[Any]) -> tuple[float, float]:
    """Least and largest number, one clip at a time, as all may not fit into memory."""
    low, high = np.inf, -np.inf
    for number, clip in enumerate(clips):
        wrong = int((~np.isfinite(clip)).sum())
        if wrong:
            raise UserError(f"{name}, clip {number}: {wrong} numbers are NaN or infinite.")
        low, high = min(low, float(clip.min())), max(high, float(clip.max()))
    return low, high


def _require_alike(parts: Sequence[_Part]) -> None:
    first = parts[0]
    for part in parts:
        if part.frames.shape[1:] != first.frames.shape[1:] or part.frames.dtype != (
            first.frames.dtype
        ):
            raise UserError(
                f"{first.name} holds clips of {first.frames.shape[1:]} {first.frames.dtype}, and "
                f"{part.name} of {part.frames.shape[1:]} {part.frames.dtype}: make them alike."
            )
        sizes = [None if one.actions is None else one.actions.shape[2] for one in (first, part)]
        if sizes[0] != sizes[1]:
            raise UserError(
                f"{first.name} has actions of {sizes[0]} numbers, and {part.name} of {sizes[1]}: "
                "make them alike."
            )


def _scaling(frames: NDArray[Any], low: float, high: float) -> tuple[float, float, float | None]:
    """What frames are divided by, what is added then, and their unit if they are no pixels."""
    if frames.dtype == np.uint8:
        return 127.5, -1.0, None
    pictures = frames.shape[2] in (1, 3) and frames.shape[-1] > 1
    if pictures and low >= 0 and high <= 1:
        return 0.5, -1.0, None
    if pictures and low >= -1 and high <= 1:
        return 1.0, 0.0, None
    unit = max(abs(low), abs(high)) or 1.0
    return unit, 0.0, unit


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One array stays where it is, which may be on disk."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _digest(array: NDArray[Any]) -> list[Any]:
    content = np.ascontiguousarray(array).tobytes()
    return [array.dtype.str, array.shape, hashlib.blake2b(content, digest_size=16).hexdigest()]
