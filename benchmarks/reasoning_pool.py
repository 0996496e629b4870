"""Training problems of ``reasoning_results.py``: made once, kept on disk, trained on from memory.

Making a problem can take longer than learning from it, so every kind of problem is made beforehand,
in a process of its own, and all its trainings draw from the same ones, each in its own order.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from argmind.config import PartConfig
from argmind.data.base import Batch, digest_of
from argmind.data.datasets.reasoning import ReasoningData
from argmind.data.order import sample_at
from argmind.data.reasoning.base import Samples
from argmind.data.sealed import Write, sealed
from argmind.data.storage import cache_folder

#: Problems made at a time.
_CHUNK = 4096
#: The stream that pools are drawn from; a run's own seed is that of its order.
_SEED = 0


class Pooled:
    """Reasoning data that trains on problems made beforehand; held-out sets are its own.

    Everything else is as :class:`ReasoningData` has it.
    """

    def __init__(self, data: ReasoningData, samples: int, device: str = "cpu") -> None:
        self.data, self.samples_per_epoch = data, samples
        path, self.made_s = make_pool(data, samples)
        rows = np.fromfile(path, dtype=_row_type(data))
        self._pool = {name: _wide(rows[name], device) for name in rows.dtype.names or ()}
        self._held_out: dict[str, Batch] = {}
        self.fingerprint = digest_of(data.fingerprint, samples)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def batch(self, first: int, count: int) -> Batch:
        """Training problems [first, first + count) of the endless order, on the device."""
        place = np.arange(first, first + count)
        chosen = torch.from_numpy(sample_at(self.data.seed, place, self.samples_per_epoch))
        return {name: rows[chosen.to(rows.device)] for name, rows in self._pool.items()}

    def evaluation(
        self, batch_size: int, limit: int | None = None, split: str | None = None
    ) -> Iterator[Batch]:
        """The held-out problems of a split, made when they are first asked for."""
        split = self.data.splits[0] if split is None else split
        if split not in self._held_out:
            batches = list(self.data.evaluation(batch_size, None, split))
            names = batches[0]
            self._held_out[split] = {
                name: torch.cat([batch[name] for batch in batches]) for name in names
            }
        whole = self._held_out[split]
        count = min(len(whole["known"]), limit or len(whole["known"]))
        for start in range(0, count, batch_size):
            end = min(start + batch_size, count)
            yield {name: rows[start:end] for name, rows in whole.items()}


def make_pools(configs: Mapping[str, PartConfig], samples: int) -> None:
    """The pools of all these data configs, each in a process of its own, unless they are there."""
    # Not forked: a process that has used a GPU cannot be.
    spawned = multiprocessing.get_context("spawn")
    most = min(len(configs), os.cpu_count() or 1)
    with ProcessPoolExecutor(most, mp_context=spawned) as workers:
        made = workers.map(partial(_make, samples=samples), configs.values())
        for name, seconds in zip(configs, made, strict=True):
            print(f"{name}: {samples:,} training problems, made in {seconds:.0f} s", flush=True)


def _make(config: PartConfig, samples: int) -> float:
    return make_pool(config.build(seed=_SEED), samples)[1]


def make_pool(data: ReasoningData, samples: int) -> tuple[Path, float]:
    """The file with so many training problems, and the seconds that making it took."""
    key = digest_of("reasoning pool 1", data.problems.fingerprint, samples)
    path = cache_folder() / f"reasoning-{key}.bin"

    def make(write: Write) -> dict[str, Any]:
        began = time.monotonic()
        for first in range(0, samples, _CHUNK):
            index = np.arange(first, min(first + _CHUNK, samples))
            write(_rows(data.problems.sample("train", index, _SEED)).tobytes())
        return {"problems": samples, "made_s": time.monotonic() - began}

    return path, sealed(path, make, what="pool of problems")["made_s"]


def _row_type(data: ReasoningData) -> np.dtype[Any]:
    return _rows(data.problems.sample("train", np.arange(1), _SEED)).dtype


def _rows(samples: Samples) -> np.ndarray[Any, Any]:
    """Problems as rows; symbols and places are small enough for a byte."""
    narrow = {
        name: column.astype(np.uint8) if column.dtype == np.int64 else column
        for name, column in samples.items()
    }
    kinds = [(name, column.dtype, column.shape[1:]) for name, column in narrow.items()]
    rows = np.empty(len(narrow["known"]), kinds)
    for name, column in narrow.items():
        rows[name] = column
    return rows


def _wide(column: np.ndarray[Any, Any], device: str) -> torch.Tensor:
    there = torch.from_numpy(np.ascontiguousarray(column)).to(device)
    return there.long() if there.dtype == torch.uint8 else there
