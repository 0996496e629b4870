"""The origin of demonstrations beside the run that learnt from them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from argmind.data.episodes.base import Origin
from argmind.data.storage import read_record, write_record
from argmind.errors import UserError

ORIGIN_FILE = "origin.json"


def save_origin(folder: Path, origin: Origin) -> None:
    """Write what the demonstrations were recorded in into a run's folder."""
    write_record(folder / ORIGIN_FILE, asdict(origin))


def load_origin(folder: Path) -> Origin | None:
    """What a run's demonstrations were recorded in; None where that was never known.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / ORIGIN_FILE
    try:
        said: dict[str, Any] = read_record(path)
        low, high = tuple(said.pop("action_low")), tuple(said.pop("action_high"))
        return Origin(**said, action_low=low, action_high=high)
    except FileNotFoundError:
        return None
    except (OSError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}); restore it from a copy.") from error
