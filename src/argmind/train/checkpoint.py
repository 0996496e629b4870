"""Checkpoints that are whole or do not exist, and whose every byte is checked.

A checkpoint is a folder ``step-00000100`` of safetensors and JSON files. It is written under a
temporary name, its files are synced, ``COMMIT.json`` with their sizes and digests is written last,
and only then is the folder renamed. Reading verifies all of it and falls back to the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from argmind.errors import CorruptCheckpoint, UserError
from argmind.train.files import digest, explained, sync_folder, write_synced

SCHEMA = 1
COMMIT = "COMMIT.json"
STATE = "state.json"
_NAME = re.compile(r"step-(\d{8,})")


def folder_name(step: int) -> str:
    """``step-00000100``."""
    return f"step-{step:08d}"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def _sealed(record: dict[str, Any]) -> bytes:
    # COMMIT.json holds the digests of all other files, so it has to carry its own as well. Later
    # schemas keep this seal: a damaged record must not pass for a newer one.
    seal = hashlib.blake2b(_canonical(record), digest_size=32).hexdigest()
    return _canonical({**record, "seal": seal})


# ------------------------------------------------------------------ reading


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A verified checkpoint, and what had to be passed over to find it."""

    folder: Path
    step: int
    state: dict[str, Any]
    files: frozenset[str]
    notes: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether there is a tensor file of this name ("model", "optimizer", "ema" …)."""
        return f"{name}.safetensors" in self.files

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one file, on the CPU."""
        path = self.folder / f"{name}.safetensors"
        try:
            return safetensors.torch.load(path.read_bytes())
        except (OSError, safetensors.SafetensorError) as error:
            raise CorruptCheckpoint(f"cannot read {path}: {error}.") from error


def verify(folder: Path) -> Checkpoint:
    """Check every byte of a checkpoint against its commit record.

    Raises:
        CorruptCheckpoint: something is missing, changed or cut off.
        UserError: it was written by a newer version of argmind.
    """
    record = _read_record(folder)
    for name, expected in record["files"].items():
        path = folder / name
        try:
            same = path.stat().st_size == expected["bytes"] and digest(path) == expected["blake2b"]
        except OSError as error:
            raise CorruptCheckpoint(f"{path}: {error.strerror}.") from error
        if not same:
            raise CorruptCheckpoint(f"{path} is not what was committed (size or digest differs).")
    state = json.loads((folder / STATE).read_bytes())
    files = frozenset(record["files"])
    return Checkpoint(folder=folder, step=record["step"], state=state, files=files)


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / COMMIT
    try:
        content = path.read_bytes()
        record = json.loads(content)
        record.pop("seal")
        whole = content == _sealed(record)
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise CorruptCheckpoint(f"{path} cannot be read ({error}).") from error
    if not whole:
        raise CorruptCheckpoint(f"{path} is not what was committed (its seal differs).")
    if record["schema"] > SCHEMA:
        raise UserError(
            f"{folder} was written by a newer argmind (checkpoint schema {record['schema']}; this "
            f"version reads up to {SCHEMA}). Upgrade with: pip install -U argmind"
        )
    if folder_name(record["step"]) != folder.name:
        raise CorruptCheckpoint(f"{folder} holds step {record['step']}: the folder was renamed.")
    return record


# ------------------------------------------------------------------ writing


class Draft:
    """A checkpoint being written; leaving the ``with`` block by an error removes it."""

    def __init__(self, store: CheckpointStore, step: int, writer: int) -> None:
        self._store = store
        self._step = step
        self._final = store.folder / folder_name(step)
        self._folder = store.folder / f"{folder_name(step)}.tmp-{writer}"

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _explained(self) -> AbstractContextManager[None]:
        return explained(f"checkpoint {self._final}", self._store.advice())

    def write(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Add a tensor file.

        Raises:
            UserError: the disk is full, read-only or not ours.
        """
        plain = {key: tensor.detach().contiguous().cpu() for key, tensor in tensors.items()}
        content = safetensors.torch.save(plain, metadata={"format": "pt"})
        with self._explained():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_synced(self._folder / f"{name}.safetensors", content)

    def commit(self, state: Mapping[str, Any]) -> Path:
        """Add the JSON state, write the commit record and give the folder its name.

        Raises:
            UserError: the disk is full, read-only or not ours.
        """
        with self._explained():
            write_synced(self._folder / STATE, _canonical(dict(state)))
            files = {
                path.name: {"bytes": path.stat().st_size, "blake2b": digest(path)}
                for path in sorted(self._folder.iterdir())
            }
            record = {"schema": SCHEMA, "step": self._step, "files": files}
            write_synced(self._folder / COMMIT, _sealed(record))
            sync_folder(self._folder)
            self._folder.rename(self._final)
            sync_folder(self._store.folder)
        return self._final


class CheckpointStore:
    """The checkpoints of one run, all in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def steps(self) -> list[int]:
        """Steps that have a committed folder, newest first; their bytes are not checked."""
        if not self.folder.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted((int(match[1]) for match in matches if match), reverse=True)

    def load(self, step: int) -> Checkpoint:
        """The verified checkpoint of this step."""
        return verify(self.folder / folder_name(step))

    def latest(self, prefer: int | None = None) -> Checkpoint:
        """The newest good checkpoint, or the good one of step ``prefer`` (the best, say).

        Damaged ones are passed over, each with a note.

        Raises:
            UserError: there is none, or a newer argmind wrote it.
            CorruptCheckpoint: there are some and all are damaged.
        """
        notes: list[str] = []
        steps = self.steps()
        for step in sorted(steps, key=lambda step: step != prefer):
            try:
                found = self.load(step)
            except CorruptCheckpoint as error:
                notes.append(f"checkpoint of step {step} is damaged and passed over: {error}")
                continue
            return replace(found, notes=tuple(notes))
        if not steps:
            raise UserError(f"no committed checkpoint in {self.folder}.")
        raise CorruptCheckpoint(
            "\n".join([f"every checkpoint in {self.folder} is damaged:", *notes])
        )

    def draft(self, step: int, writer: int | None = None) -> Draft:
        """Start a checkpoint; processes that write one together agree on ``writer``."""
        return Draft(self, step, os.getpid() if writer is None else writer)

    def advice(self) -> str:
        """What is left when writing fails."""
        steps = self.steps()
        if not steps:
            return ""
        last = self.folder / folder_name(steps[0])
        return f"The last good checkpoint is {last}: continue from it with --resume."

    def keep_only(self, newest: int, also: Iterable[int]) -> None:
        """Remove all but the ``newest`` last checkpoints and those of the steps ``also``."""
        steps = self.steps()
        for step in set(steps[newest:]) - set(also):
            # Renamed first, so that a kill in between leaves no half a checkpoint.
            doomed = self.folder / f"{folder_name(step)}.tmp-{os.getpid()}"
            (self.folder / folder_name(step)).rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def clean(self) -> None:
        """Remove what killed writers left behind; only for the one process that owns the run."""
        for path in self.folder.glob("*.tmp-*"):
            shutil.rmtree(path, ignore_errors=True)

    def set_aside_after(self, step: int) -> None:
        """Rename checkpoints newer than ``step``, which were found damaged, out of the way."""
        for newer in [other for other in self.steps() if other > step]:
            damaged = self.folder / f"{folder_name(newer)}.damaged"
            shutil.rmtree(damaged, ignore_errors=True)
            (self.folder / folder_name(newer)).rename(damaged)


# ------------------------------------------------------------------ weights


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """The ``state_dict`` with tied tensors once, under the first of their names."""
    seen: set[tuple[Any, ...]] = set()
    weights: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        weights[name] = tensor
    return weights


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights saved from :func:`weights_of`, strictly.

    Raises:
        UserError: names or shapes do not fit.
    """
    expected = {name: tensor.shape for name, tensor in weights_of(module).items()}
    given = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(
        name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name)
    )
    if wrong:
        name = wrong[0]
        raise UserError(
            f"the checkpoint does not fit this model: {len(wrong)} tensors differ, the first is "
            f"'{name}' (model: {expected.get(name)}, checkpoint: {given.get(name)}). "
            "Build the model from the recipe of the run."
        )
    module.load_state_dict(tensors, strict=False)
