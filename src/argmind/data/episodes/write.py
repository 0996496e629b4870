"""Writing episodes: the folder is there whole, or it is not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from argmind.data.base import optional_module
from argmind.data.episodes import base
from argmind.data.episodes.base import Episode, Origin, require_sound
from argmind.data.episodes.pictures import encoded
from argmind.errors import UserError

#: Version of LeRobot's layout, and how many episodes lie in a folder of it.
_LAYOUT, _CHUNK = "v2.1", 1000
_DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"


def require_free(folder: Path) -> None:
    """Refuse a place for episodes where something lies already.

    Raises:
        UserError: see above.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already: choose another folder, or remove this one.")


def write_episodes(folder: Path | str, episodes: Iterable[Episode], origin: Origin) -> int:
    """Write episodes as they come and return how many steps they have.

    One table for each, beside it ``meta/info.json``, ``meta/episodes.jsonl`` and
    ``meta/tasks.jsonl``. If anything fails, or the iterable raises, nothing is left.

    Raises:
        UserError: the folder is not free or cannot be written; an episode does not fit the others
            or its origin; there is none.
    """
    folder = Path(folder)
    require_free(folder)
    draft = folder.with_name(f".{folder.name}.draft-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        writer = _Writer(draft, origin)
        for episode in episodes:
            writer.add(episode)
        writer.finish()
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
        return writer.steps
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}. Nothing was kept; choose another "
            "folder, or free some space."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class _Writer:
    """Fills a folder episode by episode."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self._arrow: Any = optional_module("pyarrow", "writing episodes", "policy")
        self._parquet: Any = optional_module("pyarrow.parquet", "writing episodes", "policy")
        self._folder, self._origin = folder, origin
        self._lines: list[dict[str, Any]] = []
        self._digests: dict[str, str] = {}
        self._schema: Any = None
        self._features: dict[str, Any] = {}
        self._task = " ".join([origin.environment, *(f"{v}" for v in _named(origin.settings))])
        self.steps = 0

    def add(self, episode: Episode) -> None:
        number = len(self._lines)
        where = f"episode {number}"
        require_sound(episode, self._origin, where)
        features = _features(episode)
        if self._schema is None:
            self._features = features
            self._schema = self._schema_of(features)
        if features != self._features:
            raise UserError(
                f"{where} does not fit the first one: {_shapes(features)}, not "
                f"{_shapes(self._features)}."
            )
        path = _DATA_PATH.format(episode_chunk=number // _CHUNK, episode_index=number)
        table = self._arrow.table(self._columns(episode, number), schema=self._schema)
        content = self._arrow.BufferOutputStream()
        self._parquet.write_table(table, content)
        self._put(path, content.getvalue().to_pybytes())
        self._lines.append(
            {
                "episode_index": number,
                "tasks": [self._task],
                "length": len(episode),
                "success": bool(episode.success),
                "score": float(episode.score),
                "seed": int(episode.seed),
                "route": episode.route,
            }
        )
        self.steps += len(episode)

    def finish(self) -> None:
        count = len(self._lines)
        if not count:
            raise UserError("there is no episode to write; nothing was kept.")
        origin = self._origin
        info = {
            "codebase_version": _LAYOUT,
            "robot_type": origin.environment,
            "total_episodes": count,
            "total_frames": self.steps,
            "total_tasks": 1,
            "total_videos": 0,
            "total_chunks": 1 + (count - 1) // _CHUNK,
            "chunks_size": _CHUNK,
            "fps": origin.fps,
            "splits": {"train": f"0:{count}"},
            "data_path": _DATA_PATH,
            "video_path": None,
            "features": self._features,
            "origin": {
                "environment": origin.environment,
                "settings": dict(origin.settings),
                "action_low": list(origin.action_low),
                "action_high": list(origin.action_high),
                "made": dict(origin.made),
            },
        }
        tasks = {"task_index": 0, "task": self._task}
        lines = "".join(json.dumps(line) + "\n" for line in self._lines)
        self._put(base.DIGESTS, (json.dumps(self._digests, indent=2) + "\n").encode())
        self._put(base.TASKS, (json.dumps(tasks) + "\n").encode())
        self._put(base.EPISODES, lines.encode())
        self._put(base.INFO, (json.dumps(info, indent=2) + "\n").encode())

    def _put(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if name.startswith(base.TABLES):
            self._digests[name] = base.digest(content)

    def _columns(self, episode: Episode, number: int) -> dict[str, Any]:
        steps = len(episode)
        frames = np.arange(steps)
        columns: dict[str, Any] = {}
        for name, rows in {**_observed(episode), base.ACTION: episode.actions}.items():
            if rows.dtype == np.uint8:
                columns[name] = encoded(rows.astype(np.uint8, copy=False))
            else:
                flat = self._arrow.array(rows.astype(np.float32).reshape(-1))
                columns[name] = self._arrow.FixedSizeListArray.from_arrays(flat, rows.shape[1])
        last = frames == steps - 1
        return {
            **columns,
            base.REWARD: episode.rewards.astype(np.float32),
            base.DONE: last,
            base.SUCCESS: last & episode.success,
            base.EPISODE: np.full(steps, number),
            base.FRAME: frames,
            base.TIME: (frames / self._origin.fps).astype(np.float32),
            base.ROW: self.steps + frames,
            base.TASK: np.zeros(steps, dtype=np.int64),
        }

    def _schema_of(self, features: dict[str, Any]) -> Any:
        """The table's types, with the note by which ``datasets`` knows pictures."""
        arrow, fields, known = self._arrow, [], {}
        plain = {
            "float32": arrow.float32(),
            "int64": arrow.int64(),
            "bool": arrow.bool_(),
        }
        for name, feature in features.items():
            kind, size = feature["dtype"], feature["shape"][0]
            if kind == "image":
                type_ = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
                known[name] = {"_type": "Image"}
            elif name == base.ACTION or name.startswith(base.OBSERVED):
                type_ = arrow.list_(arrow.float32(), size)
                value = {"dtype": kind, "_type": "Value"}
                known[name] = {"feature": value, "length": size, "_type": "Sequence"}
            else:
                type_ = plain[kind]
                known[name] = {"dtype": kind, "_type": "Value"}
            fields.append(arrow.field(name, type_))
        note = json.dumps({"info": {"features": known}})
        return arrow.schema(fields, metadata={"huggingface": note})


def _observed(episode: Episode) -> dict[str, base.Array]:
    return {base.OBSERVED + name: rows for name, rows in episode.observations.items()}


def _features(episode: Episode) -> dict[str, Any]:
    """What each column holds, as ``meta/info.json`` says it."""
    features: dict[str, Any] = {}
    for name, rows in {**_observed(episode), base.ACTION: episode.actions}.items():
        picture = rows.dtype == np.uint8 and rows.ndim == 4
        if not picture and rows.ndim != 2:
            raise UserError(
                f"'{name}' has shape {rows.shape}: numbers (T, n) or uint8 (T, H, W, 3)."
            )
        features[name] = {
            "dtype": "image" if picture else "float32",
            "shape": list(rows.shape[1:]),
            "names": ["height", "width", "channel"] if picture else None,
        }
    scalars = {
        **{base.REWARD: "float32", base.DONE: "bool", base.SUCCESS: "bool"},
        **{base.EPISODE: "int64", base.FRAME: "int64", base.TIME: "float32"},
        **{base.ROW: "int64", base.TASK: "int64"},
    }
    for name, kind in scalars.items():
        features[name] = {"dtype": kind, "shape": [1], "names": None}
    return features


def _shapes(features: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {tuple(feature['shape'])}"
        for name, feature in features.items()
        if name == base.ACTION or name.startswith(base.OBSERVED)
    )


def _named(settings: Any) -> list[Any]:
    return [settings["task"]] if "task" in settings else []
