"""Episodes in files: what is read is what was written, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from argmind.data.episodes import (
    Episode,
    Origin,
    read_episodes,
    read_origin,
    require_free,
    write_episodes,
)
from argmind.errors import UserError

pa = pytest.importorskip("pyarrow", reason="needs pyarrow (extra policy)")
pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra policy)")

ORIGIN = Origin(
    environment="point",
    settings={"max_steps": 9},
    fps=20.0,
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
    made={"seed": 4},
)


def episode(steps: int, seed: int = 0, pixels: bool = False, success: bool = True) -> Episode:
    """Steps of random numbers."""
    rng = np.random.default_rng(seed)
    observations: dict[str, Any] = {"state": rng.normal(size=(steps, 3)).astype(np.float32)}
    if pixels:
        observations["image"] = rng.integers(0, 256, (steps, 6, 5, 3), dtype=np.uint8)
    return Episode(
        observations=observations,
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        success=success,
        score=0.25 * seed,
        seed=seed,
        route="left" if seed else "",
    )


def written(folder: Path, *episodes: Episode, origin: Origin = ORIGIN) -> Path:
    """A folder of episodes."""
    write_episodes(folder, episodes or [episode(4, 0), episode(7, 1, success=False)], origin)
    return folder


def same(one: Episode, other: Episode) -> bool:
    """Alike to the bit."""
    arrays = {**one.observations, "a": one.actions, "r": one.rewards}
    others = {**other.observations, "a": other.actions, "r": other.rewards}
    return (
        arrays.keys() == others.keys()
        and all(
            np.array_equal(value, others[key]) and value.dtype == others[key].dtype
            for key, value in arrays.items()
        )
        and (one.success, one.score, one.seed, one.route)
        == (other.success, other.score, other.seed, other.route)
    )


@pytest.mark.parametrize("pixels", [False, True])
def test_round_trip(tmp_path, pixels):
    if pixels:
        pytest.importorskip("PIL", reason="needs pillow (extra policy)")
    first = [episode(4, 0, pixels), episode(7, 1, pixels, success=False), episode(1, 2, pixels)]
    assert write_episodes(tmp_path / "demos", iter(first), ORIGIN) == 12
    found = read_episodes(tmp_path / "demos")
    assert [same(*pair) for pair in zip(first, found, strict=True)] == [True] * 3
    assert read_origin(str(tmp_path / "demos")) == ORIGIN
    assert [path.name for path in tmp_path.iterdir()] == ["demos"]


def test_columns_are_those_of_lerobot(tmp_path):
    pytest.importorskip("PIL", reason="needs pillow (extra policy)")
    folder = written(tmp_path / "d", episode(4, 0, True), episode(3, 1, True))
    table = pq.read_table(folder / "data/chunk-000/episode_000001.parquet")
    assert table.column_names == [
        *("observation.state", "observation.image", "action"),
        *("next.reward", "next.done", "next.success"),
        *("episode_index", "frame_index", "timestamp", "index", "task_index"),
    ]
    assert table.column("index").to_pylist() == [4, 5, 6]
    assert table.column("next.done").to_pylist() == [False, False, True]
    assert table.column("timestamp").to_pylist() == pytest.approx([0, 0.05, 0.1])
    picture = table.column("observation.image")[0].as_py()
    assert picture["bytes"].startswith(b"\x89PNG")
    assert picture["path"] is None
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["features"]["observation.image"]["shape"] == [6, 5, 3]
    assert info["features"]["action"] == {"dtype": "float32", "shape": [2], "names": None}
    assert (info["total_episodes"], info["total_frames"], info["fps"]) == (2, 7, 20.0)
    lines = (folder / "meta/episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["length"] for line in lines] == [4, 3]


def test_datasets_reads_the_pictures(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs datasets (extra data)")
    folder = written(tmp_path / "d", episode(4, 0, True))
    features = datasets.Features.from_arrow_schema(
        pq.read_schema(folder / "data/chunk-000/episode_000000.parquet")
    )
    assert isinstance(features["observation.image"], datasets.Image)
    assert features["action"].length == 2


# ------------------------------------------------------------------ writing, whole or not at all


def broken(kind: str) -> Any:
    """Episodes, the last of which something is wrong with."""
    good = episode(4)
    yield good
    if kind == "raises":
        raise KeyboardInterrupt
    if kind == "wider":
        yield replace(good, actions=np.zeros((4, 3), np.float32))
    if kind == "other state":
        yield replace(good, observations={"state": np.zeros((4, 5), np.float32)})
    if kind == "unequal":
        yield replace(good, observations={"state": np.zeros((3, 3), np.float32)})
    if kind == "beyond":
        yield replace(good, actions=np.full((4, 2), 1.5, np.float32))
    if kind == "nan":
        yield replace(good, actions=np.full((4, 2), np.nan, np.float32))
    if kind == "empty":
        yield episode(0)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("wider", "actions of .3,. numbers"),
        ("other state", r"observation.state \(5,\).*not observation.state \(3,\)"),
        ("unequal", "4 actions and 3 of 'state'"),
        ("beyond", "step 0 is outside its bounds"),
        ("nan", "'action' that is no finite number in 4 steps, the first of them step 0"),
        ("empty", "has no steps"),
    ],
)
def test_a_wrong_episode_is_named_and_nothing_left(tmp_path, kind, said):
    with pytest.raises(UserError, match=f"episode 1.*{said}"):
        write_episodes(tmp_path / "d", broken(kind), ORIGIN)
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_episodes(tmp_path / "d", broken("raises"), ORIGIN)
    assert not list(tmp_path.iterdir())


def test_no_episodes_are_no_folder(tmp_path):
    with pytest.raises(UserError, match="no episode"):
        write_episodes(tmp_path / "d", [], ORIGIN)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_taken_is_refused_before_anything_is_made(tmp_path):
    taken = written(tmp_path / "d")

    def never() -> Any:
        raise AssertionError("asked for an episode")
        yield

    with pytest.raises(UserError, match="exists already"):
        write_episodes(taken, never(), ORIGIN)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="exists already"):
        require_free(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert len(read_episodes(written(tmp_path / "empty"))) == 2


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_episodes(tmp_path / "file" / "d", [episode(3)], ORIGIN)


# ------------------------------------------------------------------ reading what is not right


def table_of(folder: Path) -> Path:
    """The first table of a folder."""
    return folder / "data/chunk-000/episode_000000.parquet"


def edited(folder: Path, **changes: Any) -> None:
    """Change entries of the folder's info."""
    path = folder / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewritten(folder: Path, drop: tuple[str, ...] = (), **columns: Any) -> None:
    """Change or drop columns of the first table."""
    table = pq.read_table(table_of(folder))
    for name in drop:
        table = table.drop_columns([name])
    for name, values in columns.items():
        place = table.column_names.index(name.replace("__", "."))
        table = table.set_column(place, name.replace("__", "."), pa.array(values))
    pq.write_table(table, table_of(folder))
    (folder / "meta/digests.json").unlink()


def test_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"no such folder of episodes.*argmind demos"):
        read_episodes(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no episodes"):
        read_episodes(tmp_path)
    folder = written(tmp_path / "d")
    table_of(folder).unlink()
    with pytest.raises(UserError, match=r"not whole.*2 episodes with 11 steps, and 1 with 7"):
        read_episodes(folder)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.9, 1])
def test_a_changed_byte_of_a_table_is_noticed(tmp_path, place):
    folder = written(tmp_path / "d")
    content = bytearray(table_of(folder).read_bytes())
    content[round(place * (len(content) - 1))] ^= 0x55
    table_of(folder).write_bytes(content)
    with pytest.raises(UserError, match=r"episode_000000.parquet is damaged"):
        read_episodes(folder)


def test_a_table_of_others_that_is_cut_off(tmp_path):
    folder = written(tmp_path / "d")
    (folder / "meta/digests.json").unlink()
    assert len(read_episodes(folder)) == 2
    content = table_of(folder).read_bytes()
    table_of(folder).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged or no Parquet"):
        read_episodes(folder)


@pytest.mark.parametrize("name", ["meta/info.json", "meta/episodes.jsonl", "meta/digests.json"])
def test_damaged_notes(tmp_path, name):
    folder = written(tmp_path / "d")
    (folder / name).write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_episodes(folder)


def test_missing_columns_are_named(tmp_path):
    folder = written(tmp_path / "d")
    rewritten(folder, drop=("action", "observation.state"))
    with pytest.raises(UserError, match=r"no column action, observation.state; it has next.reward"):
        read_episodes(folder)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"frame_index": [0, 1, 1, 3]}, "lacks steps or has some twice"),
        ({"action": [[0.0, 0], [0.0, 0], [0.0], [0.0, 0]]}, r"unequal lengths: \[1, 2\]"),
        ({"action": [[0.0, 0], None, [0.0, 0], [0.0, 0]]}, "empty in 1 steps"),
        ({"action": [[0.0, 0], [0.0, 2], [0.0, 0], [0.0, 0]]}, "step 1 is outside its bounds"),
        ({"action": [["a", "b"]] * 4}, "no number"),
    ],
)
def test_wrong_rows_are_named(tmp_path, columns, said):
    folder = written(tmp_path / "d")
    rewritten(folder, **columns)
    with pytest.raises(UserError, match=f"episode 0.*{said}"):
        read_episodes(folder)


def test_pictures_that_cannot_be_read(tmp_path):
    pytest.importorskip("PIL", reason="needs pillow (extra policy)")
    folder = written(tmp_path / "d", episode(4, 0, True))
    rewritten(folder, observation__image=[{"bytes": b"PNG?", "path": None}] * 4)
    with pytest.raises(UserError, match="picture of step 0 cannot be read"):
        read_episodes(folder)
    edited(folder, features={"observation.images.top": {"dtype": "video"}})
    with pytest.raises(UserError, match=r"observation.images.top to video files"):
        read_episodes(folder)


def test_episodes_of_others(tmp_path):
    """One table for all, in no order, without what only argmind notes."""
    folder = tmp_path / "theirs"
    (folder / "data/chunk-000").mkdir(parents=True)
    (folder / "meta").mkdir()
    (folder / "meta/info.json").write_text(json.dumps({"robot_type": "arm", "fps": 30}))
    table = pa.table(
        {
            "observation.state": [[3.0], [1.0], [0.0], [2.0]],
            "observation.gripper": [0.5, 0.5, 0.5, 0.5],
            "action": [[5.0, 5.0]] * 4,
            "episode_index": [1, 0, 0, 1],
            "frame_index": [1, 1, 0, 0],
        }
    )
    pq.write_table(table, folder / "data/chunk-000/file-000.parquet")
    found = read_episodes(folder)
    assert [one.observations["state"][:, 0].tolist() for one in found] == [[0, 1], [2, 3]]
    assert found[0].observations["gripper"].shape == (2, 1)
    assert [one.success for one in found] == [True, True]
    assert (found[0].seed, found[0].score, found[0].rewards.tolist()) == (-1, 1.0, [0, 0])
    assert read_origin(folder) == Origin(environment="arm", fps=30.0)
