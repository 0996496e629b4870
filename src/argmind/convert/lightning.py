"""Lightning checkpoints, read as data: nothing in the file is ever executed."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor

from argmind.errors import UserError

_SAVE_AGAIN = (
    "Where you trust the file, open it with the code that wrote it and save plain data alone: its "
    "'state_dict', and of its 'hyper_parameters' the strings, numbers and truth values."
)


class LightningCheckpoint(NamedTuple):
    """What a Lightning ``.ckpt`` says of a model."""

    state_dict: dict[str, Tensor]
    hyper_parameters: dict[str, Any]
    step: int


def read_lightning(path: Path) -> LightningCheckpoint:
    """Weights and hyper-parameters of a ``.ckpt``.

    Raises:
        UserError: no such file, not a checkpoint or a damaged one, one that holds more than
            tensors and plain values, or one without ``state_dict`` or ``hyper_parameters``.
    """
    stored = _load(path)
    if not isinstance(stored, dict):
        raise UserError(f"{path}: not a Lightning checkpoint (it holds a {type(stored).__name__}).")
    for key in ("state_dict", "hyper_parameters"):
        if not isinstance(stored.get(key), dict):
            raise UserError(
                f"{path}: no '{key}' in it. A Lightning checkpoint has one; found: "
                f"{', '.join(map(str, stored)) or 'nothing'}."
            )
    for name, value in stored["state_dict"].items():
        if not isinstance(value, Tensor):
            raise UserError(f"{path}: '{name}' in its state_dict is not a tensor.")
    step = stored.get("global_step")
    return LightningCheckpoint(
        stored["state_dict"], stored["hyper_parameters"], step if isinstance(step, int) else 0
    )


def _load(path: Path) -> Any:
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {what}. Give the .ckpt that the public code's training wrote.")
    try:
        if not zipfile.is_zipfile(path):
            raise UserError(f"{path}: not a checkpoint, or cut short (no PyTorch archive).")
        with zipfile.ZipFile(path) as archive:  # torch.load does not look at the checksums
            damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"{path}: damaged (the checksum of {damaged} in it is wrong).")
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        culprit = f" ({found[1]})" if found else ""
        raise UserError(
            f"{path}: holds more than tensors and plain values{culprit}; loading it could run "
            f"code, so it is refused. {_SAVE_AGAIN}"
        ) from error
    except Exception as error:  # a damaged archive fails in any of a dozen ways
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path}: damaged, or not a PyTorch checkpoint ({reason}).") from error
