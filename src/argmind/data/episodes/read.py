"""Reading episodes: those that argmind wrote, and LeRobot datasets that keep pictures as images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from argmind.data.base import optional_module
from argmind.data.episodes import base
from argmind.data.episodes.base import Array, Episode, Origin, require_sound
from argmind.data.episodes.pictures import decoded
from argmind.errors import UserError

_HINT = "`argmind demos --help` tells how to make episodes"


def read_origin(folder: Path | str) -> Origin:
    """What the episodes of a folder were recorded in, as far as it says so.

    Raises:
        UserError: there is no such folder, or its ``meta/info.json`` is damaged.
    """
    return _origin(Path(folder), _info(Path(folder)))


def read_episodes(folder: Path | str) -> list[Episode]:
    """All episodes of a folder, in order.

    Success, score and seed are read from ``meta/episodes.jsonl``; where that does not tell, from
    the column ``next.success``; without either, demonstrations count as successful.

    Raises:
        UserError: no such folder, no episodes, a damaged or missing table, missing columns, steps
            that are missing, actions outside the bounds that ``meta/info.json`` tells.
    """
    folder = Path(folder)
    info = _info(folder)
    origin = _origin(folder, info)
    facts = {int(line["episode_index"]): line for line in _lines(folder)}
    episodes: list[Episode] = []
    for number, columns in _numbered(folder, info):
        where = f"episode {number} of {folder}"
        episode = _episode(columns, facts.get(number, {}), where)
        require_sound(episode, origin, where)
        episodes.append(episode)
    _require_all(episodes, info, folder)
    return episodes


# ------------------------------------------------------------------ what the folder says


def _info(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise UserError(f"no such folder of episodes: {folder}. {_HINT[0].upper()}{_HINT[1:]}.")
    path = folder / base.INFO
    try:
        info = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(
            f"{folder} holds no episodes: there is no {base.INFO}. {_HINT[0].upper()}{_HINT[1:]}."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): make the episodes again.") from error
    if not isinstance(info, dict):
        raise UserError(f"{path} is not what it should be: make the episodes again.")
    return info


def _origin(folder: Path, info: dict[str, Any]) -> Origin:
    said = info.get("origin") or {}
    try:
        return Origin(
            environment=str(said.get("environment") or info.get("robot_type") or folder.name),
            settings=dict(said.get("settings") or {}),
            fps=float(info.get("fps") or 10.0),
            action_low=tuple(float(value) for value in said.get("action_low") or ()),
            action_high=tuple(float(value) for value in said.get("action_high") or ()),
            made=dict(said.get("made") or {}),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / base.INFO} is not what it should be ({error}).") from error


def _lines(folder: Path) -> list[dict[str, Any]]:
    """What is noted of each episode; later layouts of LeRobot have no such file."""
    path = folder / base.EPISODES
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): make the episodes again.") from error


def _require_all(episodes: list[Episode], info: dict[str, Any], folder: Path) -> None:
    if not episodes:
        raise UserError(f"{folder} holds no episodes: its tables have no rows.")
    expected = info.get("total_episodes", len(episodes))
    steps = sum(map(len, episodes))
    if expected != len(episodes) or info.get("total_frames", steps) != steps:
        raise UserError(
            f"{folder} is not whole: {base.INFO} tells of {expected} episodes with "
            f"{info.get('total_frames')} steps, and {len(episodes)} with {steps} are there. Copy "
            "or make them again."
        )


# ------------------------------------------------------------------ tables


def _numbered(folder: Path, info: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every episode's number and columns, whether a table holds one episode or many."""
    features: dict[str, Any] = info.get("features") or {}
    digests = _digests(folder)
    for path in sorted((folder / base.TABLES).rglob("*.parquet")):
        table = _table(path, digests.get(path.relative_to(folder).as_posix()))
        _require_columns(table, features, path)
        numbers = table.column(base.EPISODE).to_numpy()
        order = np.lexsort((table.column(base.FRAME).to_numpy(), numbers))
        for number in np.unique(numbers):
            rows = table.take(order[numbers[order] == number])
            yield int(number), {name: rows.column(name) for name in rows.column_names}


def _digests(folder: Path) -> dict[str, str]:
    path = folder / base.DIGESTS
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}): make the episodes again.") from error


def _table(path: Path, digest: str | None) -> Any:
    arrow: Any = optional_module("pyarrow", f"reading {path}", "policy")
    parquet: Any = optional_module("pyarrow.parquet", f"reading {path}", "policy")
    try:
        content = path.read_bytes()
        if digest is not None and base.digest(content) != digest:
            raise UserError(f"{path} is damaged (its digest is wrong). Copy or make it again.")
        return parquet.read_table(arrow.BufferReader(content))
    except (arrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is damaged or no Parquet file ({error}). Copy or make it again."
        ) from error


def _require_columns(table: Any, features: dict[str, Any], path: Path) -> None:
    names = table.column_names
    missing = [name for name in (base.ACTION, base.EPISODE, base.FRAME) if name not in names]
    if not any(name.startswith(base.OBSERVED) for name in names):
        missing.append(base.OBSERVED + "state")
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)}; it has {', '.join(names)}.")
    videos = [name for name, feature in features.items() if feature.get("dtype") == "video"]
    if videos:
        raise UserError(
            f"{path.name} leaves {', '.join(videos)} to video files, which are not read: store "
            "pictures as images in the table (LeRobot: use_videos=False), or drop them from "
            f"{base.INFO}."
        )


# ------------------------------------------------------------------ one episode


def _episode(columns: dict[str, Any], facts: dict[str, Any], where: str) -> Episode:
    frames = columns[base.FRAME].to_numpy()
    if not np.array_equal(frames, np.arange(len(frames))):
        raise UserError(f"{where} lacks steps or has some twice: {base.FRAME} must count from 0.")
    observations = {
        name.removeprefix(base.OBSERVED): _values(column, f"{where}, '{name}'")
        for name, column in columns.items()
        if name.startswith(base.OBSERVED)
    }
    steps = len(frames)
    rewards = _column(columns, base.REWARD, np.zeros(steps, dtype=np.float32))
    success = bool(facts.get("success", _column(columns, base.SUCCESS, np.ones(1)).any()))
    return Episode(
        observations=observations,
        actions=_values(columns[base.ACTION], f"{where}, '{base.ACTION}'"),
        rewards=rewards.astype(np.float32).reshape(steps),
        success=success,
        score=float(facts.get("score", success)),
        seed=int(facts.get("seed", -1)),
        route=str(facts.get("route", "")),
    )


def _column(columns: dict[str, Any], name: str, otherwise: Array) -> Array:
    return columns[name].to_numpy() if name in columns else otherwise


def _values(column: Any, where: str) -> Array:
    """Numbers (T, n) float32, or pictures (T, H, W, 3)."""
    kind = str(column.type)
    if column.null_count:
        raise UserError(f"{where} is empty in {column.null_count} steps: mend or leave it out.")
    if kind.startswith(("struct", "binary", "large_binary")):
        return decoded(column.to_pylist(), where)
    if "list" not in kind:
        return column.to_numpy().astype(np.float32)[:, None]
    rows = column.to_pylist()
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise UserError(f"{where} has rows of unequal lengths: {sorted(lengths)}.")
    try:
        return np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} holds what is no number ({error}).") from error
