"""Clips of frames, made with seeds or given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from argmind.config import PartConfig, part
from argmind.data.base import Batch, Progress, digest_of
from argmind.data.datasets.clip_files import ClipFiles, open_clips
from argmind.data.datasets.images import UNIT_FILE
from argmind.data.order import sample_at
from argmind.data.scenes.base import Clips, Scene
from argmind.data.sealed import Write, sealed
from argmind.data.storage import cache_folder, write_record
from argmind.errors import UserError
from argmind.registry import register

_SCHEMA = 1
#: Held-out clips are the same whatever the run's seed; so are stored ones.
_FIXED_SEED = 0
#: Clips of a stored scene made at a time.
_AT_ONCE = 16


@register("dataset", "clips")
class ClipData:
    """Clips of a scene, or of files, in an endless order, and others held out.

    Quick scenes make a new clip for every place in the order, a pure function of (seed, place);
    slow ones make ``clips`` of them once, which are kept in the cache and shuffled. Clips of a
    ``source`` say themselves how large and how many they are; longer ones give all their windows
    of ``frames``.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        scene: PartConfig = part("scene", "digits")
        source: str | None = None  # a file, folder or glob of clips, in place of a scene
        field: str = "frames"  # where they stand in .safetensors; beside them, "actions" if any
        eval_fraction: float = 0.1  # of the source's clips is held out
        image_size: int = 32
        frames: int = 16
        clips: int = 2000  # in an epoch
        eval_clips: int = 128

        def __post_init__(self) -> None:
            if self.image_size < 8:
                raise ValueError(f"image_size must be at least 8, got {self.image_size}")
            if self.frames < 2:
                raise ValueError(
                    f"frames must be at least 2, one given and one to predict, got {self.frames}"
                )
            if self.clips < 1 or self.eval_clips < 1:
                raise ValueError("clips and eval_clips must be at least 1")
            if not 0 < self.eval_fraction < 1:
                raise ValueError(
                    f"eval_fraction must lie between 0 and 1, got {self.eval_fraction}"
                )

    def __init__(
        self,
        config: Config,
        *,
        seed: int,
        given: Any = None,
        actions: Any = None,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Make ready; clips of a slow scene are made now or found in the cache.

        Args:
            given: an array from Python, in place of what ``config.source`` names.
            actions: (N, T, A) for the given array.
            progress: called with (clips done, clips in all) while they are made.

        Raises:
            UserError: a package is missing, scene and clips do not go together, or clips that are
                given cannot be used.
        """
        self.config, self.seed = config, seed
        self.files: ClipFiles | None = None
        if config.source is not None:
            self.files = open_clips(
                config.source,
                given,
                actions,
                field=config.field,
                length=config.frames,
                eval_fraction=config.eval_fraction,
            )
            return
        if given is not None:
            raise UserError("to train on given clips set data.source=given, as the run's record.")
        self._scene: Scene = config.scene.build(config.image_size, config.frames)
        described = [repr(config.scene), config.image_size, config.frames]
        self._key = digest_of(_SCHEMA, self._scene.fingerprint, *described)
        self._stored: dict[bool, Clips] = {}
        if self._scene.stored:
            folder = cache_folder(cache_dir)
            for held_out in (False, True):
                self._stored[held_out] = self._kept(folder, held_out, progress)

    @property
    def fingerprint(self) -> str:
        """Changes when any clip does."""
        if self.files is not None:
            return digest_of(self.files.fingerprint, self.config.eval_clips)
        return digest_of(self._key, self.config.clips, self.config.eval_clips)

    @property
    def samples_per_epoch(self) -> int:
        """Clips until an epoch is counted, or until stored ones come again."""
        return self.config.clips if self.files is None else self.files.count(held_out=False)

    @property
    def evaluation_samples(self) -> int:
        """Held-out clips."""
        most = self.config.eval_clips
        return most if self.files is None else min(most, self.files.count(held_out=True))

    @property
    def model_inputs(self) -> dict[str, int]:
        """What a predictor must know of the data to be built; ``actions``: numbers of one, or 0."""
        made = self.files or self._scene
        return {
            "image_size": self.config.image_size if self.files is None else self.files.image_size,
            "channels": made.channels,
            "frames": self.config.frames,
            "actions": made.action_dim,
        }

    def batch(self, first: int, count: int) -> Batch:
        """``frames`` (B, T, C, H, W) in [-1, 1], ``random`` (B, T), ``actions`` (B, T, A) if any.

        ``random``: the frame after this one is not decided by the frames so far. ``actions``: what
        is done at a frame, whose effect the next one shows.
        """
        places = np.arange(first, first + count)
        if self.files is not None or self._scene.stored:
            return self._take(sample_at(self.seed, places, self.samples_per_epoch), held_out=False)
        return batch_of(self._scene.clips(self.seed, places, held_out=False))

    def evaluation(self, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
        """The held-out clips in a fixed order, at most ``limit`` of them."""
        total = self.evaluation_samples
        count = total if limit is None else min(limit, total)
        for first in range(0, count, batch_size):
            places = np.arange(first, min(first + batch_size, count))
            if self.files is not None or self._scene.stored:
                yield self._take(places, held_out=True)
            else:
                yield batch_of(self._scene.clips(_FIXED_SEED, places, held_out=True))

    def save_assets(self, folder: Path) -> None:
        """Write the unit of clips that are no pixels; others need nothing beside the recipe."""
        if self.files is not None and self.files.unit is not None:
            write_record(folder / UNIT_FILE, self.files.unit)

    def held_out(self, count: int, frames: int) -> Batch:
        """The first held-out clips of a source, of so many frames as far as they go."""
        assert self.files is not None  # scenes make clips of any length
        return batch_of(self.files.whole(count, frames))

    def _take(self, numbers: NDArray[np.int64], held_out: bool) -> Batch:
        if self.files is not None:
            return batch_of(self.files.take(numbers, held_out))
        kept = self._stored[held_out]
        actions = None if kept.actions is None else kept.actions[numbers]
        frames = kept.frames[numbers].astype(np.float32) / np.float32(127.5) - np.float32(1)
        return batch_of(Clips(frames, actions, kept.random[numbers]))

    def _kept(self, folder: Path, held_out: bool, progress: Progress | None) -> Clips:
        """All clips of a slow scene, frames as 8-bit numbers, from the cache or made now."""
        count = self.config.eval_clips if held_out else self.config.clips
        path = folder / f"clips-{digest_of(self._key, held_out, count)}.bin"

        def make(write: Write) -> dict[str, Any]:
            return _write(write, self._scene, count, held_out, progress)

        sealed(path, make, what="clip cache")
        config, acts = self.config, self._scene.action_dim
        size = (count, config.frames, self._scene.channels, config.image_size, config.image_size)
        frames = np.memmap(path, dtype=np.uint8, mode="r", shape=size).view(np.ndarray)
        rest = np.fromfile(path, dtype=np.uint8, offset=frames.size)
        flags = rest[: count * config.frames].astype(np.bool_).reshape(size[:2])
        actions = rest[flags.size :].view("<f4").reshape(*size[:2], acts) if acts else None
        return Clips(frames, actions, flags)  # type: ignore[arg-type]


def _write(
    write: Write, scene: Scene, count: int, held_out: bool, progress: Progress | None
) -> dict[str, Any]:
    """All frames, then all flags, then all actions."""
    flags: list[bytes] = []
    actions: list[bytes] = []
    for first in range(0, count, _AT_ONCE):
        numbers = np.arange(first, min(first + _AT_ONCE, count))
        made = scene.clips(_FIXED_SEED, numbers, held_out)
        write(np.round((made.frames + 1) * 127.5).clip(0, 255).astype(np.uint8).tobytes())
        flags.append(made.random.astype(np.uint8).tobytes())
        if made.actions is not None:
            actions.append(made.actions.astype("<f4").tobytes())
        if progress:
            progress(int(numbers[-1]) + 1, count)
    write(b"".join(flags))
    write(b"".join(actions))
    return {"clips": count}


def batch_of(clips: Clips) -> Batch:
    """Clips as tensors."""
    batch = {"frames": torch.from_numpy(clips.frames), "random": torch.from_numpy(clips.random)}
    if clips.actions is not None:
        batch["actions"] = torch.from_numpy(clips.actions)
    return batch
