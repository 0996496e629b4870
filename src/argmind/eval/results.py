"""The layout of ``results.json``: figures with units and ranges, and what produced them."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from argmind.errors import UserError, unknown
from argmind.eval.provenance import git_commit, machine_description
from argmind.eval.statistics import Interval

Number: TypeAlias = float | None
Value: TypeAlias = Number | tuple[Number, ...]

__all__ = [
    "Figure",
    "Results",
    "git_commit",
    "machine_description",
    "read_results",
    "write_atomically",
    "write_results",
]

REQUIRED = ("command", "commit", "machine", "seeds", "figures")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure, or a list of them (say, by thinking step), with its range and unit.

    ``low`` and ``high`` are ``None`` when no range is known; a missing value is ``None`` and
    ``reason`` says why.
    """

    value: Value
    low: Value = None
    high: Value = None
    unit: str
    reason: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, _numbers(getattr(self, name), name))
        if not _is_text(self.unit):
            raise ValueError("a figure needs a unit ('nats/token', 'ms', '1' for a pure number)")
        if None in _as_tuple(self.value) and not _is_text(self.reason):
            raise ValueError("a missing value needs a reason")
        if self.reason != "" and not _is_text(self.reason):
            raise ValueError(f"reason must be text, got {self.reason!r}")
        self._check_range()

    def _check_range(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high come together")
        if self.low is None or self.high is None:
            return
        low, high = _as_tuple(self.low), _as_tuple(self.high)
        if not len(low) == len(high) == len(_as_tuple(self.value)):
            raise ValueError("value, low and high differ in length")
        for a, b in zip(low, high, strict=True):
            if a is not None and b is not None and a > b:
                raise ValueError(f"low {a} lies above high {b}")

    @classmethod
    def of(cls, measured: Interval | float, unit: str, reason: str = "") -> Figure:
        """The figure of a measurement; what is not finite becomes null with a reason."""
        interval = measured if isinstance(measured, Interval) else Interval(float(measured))
        if not math.isfinite(interval.value):
            why = reason or f"the measured value was {interval.value}"
            return cls(value=None, unit=unit, reason=why)
        return cls(
            value=interval.value, low=interval.low, high=interval.high, unit=unit, reason=reason
        )

    @classmethod
    def series(cls, measured: list[Interval], unit: str, reason: str = "") -> Figure:
        """The figure that lists several measurements; ranges only if all of them have one."""
        parts = [cls.of(item, unit, reason) for item in measured]
        ranged = bool(parts) and all(item.low is not None for item in parts)
        reasons = dict.fromkeys(item.reason for item in parts if item.reason)
        return cls(
            value=tuple(item.value for item in parts),  # type: ignore[misc]
            low=tuple(item.low for item in parts) if ranged else None,  # type: ignore[misc]
            high=tuple(item.high for item in parts) if ranged else None,  # type: ignore[misc]
            unit=unit,
            reason="; ".join(reasons),
        )

    def to_plain(self) -> dict[str, Any]:
        """As JSON data; ``reason`` only where there is one."""
        plain: dict[str, Any] = {
            name: list(item) if isinstance(item := getattr(self, name), tuple) else item
            for name in ("value", "low", "high")
        }
        plain["unit"] = self.unit
        return {**plain, "reason": self.reason} if self.reason else plain


@dataclass(frozen=True, kw_only=True)
class Results:
    """A results file: ``{command, commit, machine, seeds, figures, **extra}``."""

    command: str
    commit: str
    machine: Mapping[str, Any]
    seeds: tuple[int, ...]
    figures: Mapping[str, Figure]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("command", "commit"):
            if not _is_text(getattr(self, name)):
                raise ValueError(f"{name} must be text, got {getattr(self, name)!r}")
        if not _is_filled_mapping(self.machine):
            raise ValueError(f"machine must be a mapping that says something, got {self.machine!r}")
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if not all(_is_whole(seed) for seed in self.seeds):
            raise ValueError(f"seeds must be whole numbers, got {list(self.seeds)!r}")
        clash = sorted(set(self.extra) & set(REQUIRED))
        if clash:
            raise ValueError(f"extra keys take the place of required ones: {', '.join(clash)}")

    def to_plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "command": self.command,
            "commit": self.commit,
            "machine": dict(self.machine),
            "seeds": list(self.seeds),
            "figures": {name: figure.to_plain() for name, figure in self.figures.items()},
            **self.extra,
        }

    @classmethod
    def from_plain(cls, plain: Any, where: str = "results") -> Results:
        """Read JSON data strictly.

        Raises:
            UserError: a missing key, a figure that breaks the layout, a number that is not finite.
        """
        if not isinstance(plain, Mapping):
            raise UserError(f"{where}: expected a JSON object, got {type(plain).__name__}.")
        missing = [key for key in REQUIRED if key not in plain]
        if missing:
            raise UserError(f"{where}: missing {', '.join(missing)}.")
        if not isinstance(plain["figures"], Mapping) or not isinstance(plain["seeds"], list):
            raise UserError(f"{where}: 'figures' must be an object and 'seeds' a list.")
        figures = {
            str(name): _read_figure(item, f"{where}: figures.{name}")
            for name, item in plain["figures"].items()
        }
        known = {key: plain[key] for key in ("command", "commit", "machine", "seeds")}
        extra = {key: item for key, item in plain.items() if key not in REQUIRED}
        try:
            results = cls(**known, figures=figures, extra=extra)
            json.dumps(results.to_plain(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {error}.") from error
        return results


def write_results(path: Path, results: Results) -> None:
    """Write the file whole or not at all.

    Raises:
        UserError: the results do not fit into JSON (say, NaN in an extra key), or the folder
            cannot be written; a file that was there before is left as it was.
    """
    try:
        text = json.dumps(results.to_plain(), indent=2, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"cannot write {path}: {error}.") from error
    write_atomically(path, text + "\n")


def read_results(path: Path) -> Results:
    """Read a results file strictly.

    Raises:
        UserError: no such file, no valid JSON, or not this layout.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not a results file: {error}.") from error
    return Results.from_plain(plain, str(path))


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text beside ``path``, flush it to disk, then rename it into place.

    Raises:
        UserError: the folder cannot be made or written, or the disk is full; ``path`` is untouched.
    """
    path = Path(path)
    beside: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(beside, 0o666 & ~mask)  # mkstemp makes files that only their owner can read
        os.replace(beside, path)
        beside = None
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. Free some space or choose another "
            "folder; nothing was changed."
        ) from error
    finally:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)


def _read_figure(plain: Any, where: str) -> Figure:
    if not isinstance(plain, Mapping):
        raise UserError(f"{where}: expected an object, got {plain!r}.")
    missing = [key for key in ("value", "low", "high", "unit") if key not in plain]
    if missing:
        raise UserError(f"{where}: missing {', '.join(missing)}.")
    for key in plain:
        if key not in Figure.__dataclass_fields__:
            raise unknown(f"key in {where}", str(key), Figure.__dataclass_fields__)
    try:
        return Figure(**plain)
    except ValueError as error:
        raise UserError(f"{where}: {error}.") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_filled_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _as_tuple(value: Value) -> tuple[Number, ...]:
    return value if isinstance(value, tuple) else (value,)


def _numbers(value: Any, name: str) -> Value:
    if isinstance(value, (list, tuple)):
        return tuple(_number(item, name) for item in value)
    return _number(value, name)


def _number(value: Any, name: str) -> Number:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}; use null and a reason")
    return value if isinstance(value, int) else float(value)
