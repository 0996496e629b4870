"""Windows of demonstrations: what is in them, how they are split, what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from argmind.config import part_config
from argmind.data.base import TrainingData
from argmind.data.datasets.demonstrations import DemonstrationData
from argmind.data.episodes import Episode, Origin, write_episodes
from argmind.data.normaliser import Normaliser
from argmind.errors import UserError

from .recordings import episode, recording, recordings

FRAMES, CHUNK, EXECUTE = 2, 16, 8


def data(
    given: list[Episode] | None = None, seed: int = 0, pictures: bool = False, **options: Any
) -> DemonstrationData:
    config = part_config("dataset", "demonstrations", **options)
    return config.build(seed=seed, given=recordings(pictures=pictures) if given is None else given)


def decoded(of: DemonstrationData, batch: dict[str, torch.Tensor]) -> tuple[np.ndarray, ...]:
    """States and actions in their own units, rounded to the whole numbers that they are."""
    return tuple(
        np.round(of.normaliser.decode(name, batch[name]).numpy()) for name in ("state", "actions")
    )


def all_windows(of: DemonstrationData, held_out: bool) -> dict[tuple[int, int], np.ndarray]:
    """Every window's actions by its episode and current step."""
    found = {}
    whole = of.batch(0, of.samples_per_epoch)
    for batch in of.evaluation(7) if held_out else [whole]:
        for state, actions in zip(*decoded(of, batch), strict=True):
            episode, now = state[-1, 0], state[-1, 1]
            assert (int(episode), int(now)) not in found
            found[int(episode), int(now)] = actions
    return found


def everything(of: DemonstrationData) -> dict[tuple[int, int], np.ndarray]:
    return all_windows(of, held_out=False) | all_windows(of, held_out=True)


# ---------------------------------------------------------------------- windows


def test_it_is_training_data():
    assert isinstance(data(), TrainingData)


def test_there_is_a_window_for_every_step_that_enough_actions_follow():
    lengths = {number: len(one.actions) for number, one in enumerate(recordings())}
    expected = {
        (number, now) for number, length in lengths.items() for now in range(length - EXECUTE + 1)
    }
    assert set(everything(data())) == expected


def test_the_first_action_belongs_to_the_oldest_frame_and_ends_are_repeated():
    lengths = {number: len(one.actions) for number, one in enumerate(recordings())}
    for (number, now), actions in everything(data()).items():
        times = np.clip(now - (FRAMES - 1) + np.arange(CHUNK), 0, lengths[number] - 1)
        np.testing.assert_array_equal(actions[:, 1], times)
        np.testing.assert_array_equal(actions[:, 0], 1000 * number + times)
        carried_out = times[FRAMES - 1 : FRAMES - 1 + EXECUTE]
        np.testing.assert_array_equal(carried_out, now + np.arange(EXECUTE))


def test_frames_are_in_order_and_the_first_is_repeated():
    of = data(frames=3, chunk=6, execute=2)
    for batch in of.evaluation(100):
        states, _ = decoded(of, batch)
        for state in states:
            now = state[-1, 1]
            np.testing.assert_array_equal(state[:, 1], np.maximum(now - np.arange(2, -1, -1), 0))


def test_pictures_are_those_of_the_frames():
    of = data(pictures=True)
    batch = of.batch(0, 20)
    assert batch["image"].shape == (20, FRAMES, 3, 8, 10)
    states, _ = decoded(of, batch)
    shades = (batch["image"][:, :, 0, 0, 0] + 1) * 127.5
    np.testing.assert_allclose(shades, states[..., 0] * 40 + states[..., 1], atol=1e-3)


def test_types_and_what_is_said_of_the_data():
    of = data(pictures=True)
    for tensor in of.batch(0, 3).values():
        assert tensor.dtype == torch.float32
    assert of.model_inputs == {
        "action_size": 2,
        "chunk": CHUNK,
        "frames": FRAMES,
        "observations": {"state": (3,), "image": (3, 8, 10)},
    }


# ---------------------------------------------------------------------- order and split


def test_batches_are_a_pure_function_of_their_arguments():
    of, again = data(), data()
    whole = of.batch(5, 12)
    of.batch(0, 3)
    for name, rows in whole.items():
        assert torch.equal(rows, again.batch(5, 12)[name])
        parts = torch.cat([again.batch(5, 7)[name], again.batch(12, 5)[name]])
        assert torch.equal(rows, parts)


def test_an_epoch_is_every_window_once_and_the_next_one_another_order():
    of = data()
    first, second = (of.batch(turn * of.samples_per_epoch, of.samples_per_epoch) for turn in (0, 1))
    actions = [batch["actions"].flatten(1) for batch in (first, second)]
    assert not torch.equal(*actions)
    rows = [{tuple(row.tolist()) for row in each} for each in actions]
    assert rows[0] == rows[1]
    other = data(seed=1).batch(0, of.samples_per_epoch)
    assert not torch.equal(other["actions"], first["actions"])


@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.99])
def test_whole_episodes_are_held_out_whatever_the_seed(fraction):
    splits = []
    for seed in (0, 1):
        of = data(seed=seed, eval_fraction=fraction)
        training = {episode for episode, _ in all_windows(of, held_out=False)}
        held_out = {episode for episode, _ in all_windows(of, held_out=True)}
        assert training
        assert held_out
        assert not training & held_out
        assert of.evaluation_samples == len(all_windows(of, held_out=True))
        splits.append(held_out)
    assert splits[0] == splits[1]
    assert len(splits[0]) == min(5, max(1, round(6 * fraction)))


def test_evaluation_is_spread_over_the_held_out_episodes():
    of = data(eval_fraction=0.5)
    few = torch.cat([batch["state"] for batch in of.evaluation(4, limit=10)])
    assert len(few) == 10
    states, _ = decoded(of, {"state": few, "actions": of.batch(0, 1)["actions"]})
    assert len(set(states[:, 0, 0])) == 3
    again = torch.cat([batch["state"] for batch in of.evaluation(3, limit=10)])
    assert torch.equal(few, again)


def test_the_scale_is_that_of_the_training_episodes_alone():
    given = recordings()
    plain = data(given)
    held_out = {episode for episode, _ in all_windows(plain, held_out=True)}
    huge = [
        replace(one, actions=one.actions * (1000 if number in held_out else 1))
        for number, one in enumerate(given)
    ]
    row = np.ones(2, np.float32)
    code = data(huge).normaliser.encode("actions", row)
    assert np.array_equal(code, plain.normaliser.encode("actions", row))


def test_the_normaliser_stands_beside_the_run(tmp_path):
    of = data(normaliser="gaussian")
    of.save_assets(tmp_path)
    row = np.array([3.0, 4.0], np.float32)
    loaded = Normaliser.load(tmp_path)
    assert np.array_equal(loaded.encode("actions", row), of.normaliser.encode("actions", row))


@pytest.mark.parametrize(
    "changes",
    [
        {"normaliser": "gaussian"},
        {"chunk": 12},
        {"frames": 1},
        {"execute": 4},
        {"eval_fraction": 0.5},
        {"limit": 4},
        {"given": [*recordings(5), recording(25, 9)]},
    ],
)
def test_fingerprints_tell_data_apart(changes):
    assert data().fingerprint == data().fingerprint
    assert data(**changes).fingerprint != data().fingerprint


def test_only_the_first_episodes_are_used_where_that_is_asked():
    assert {episode for episode, _ in everything(data(limit=3))} == {0, 1, 2}


def test_episodes_are_read_from_their_folder(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra 'policy')")
    write_episodes(tmp_path / "demos", recordings(pictures=True), Origin(environment="none"))
    config = part_config("dataset", "demonstrations", source=str(tmp_path / "demos"))
    read, made = config.build(seed=3), data(pictures=True, seed=3)
    for name, rows in made.batch(0, 9).items():
        assert torch.equal(read.batch(0, 9)[name], rows)
    assert read.fingerprint == made.fingerprint
    elsewhere = part_config("dataset", "demonstrations", source=str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"no such folder of episodes.*argmind demos"):
        elsewhere.build(seed=0)


# ---------------------------------------------------------------------- what is refused


def changed(number: int, **changes: Any) -> list[Episode]:
    given = recordings(pictures=True)
    observations = dict(given[number].observations)
    actions = changes.pop("actions", given[number].actions)
    given[number] = episode(observations | changes, actions)
    return given


def broken(number: int, name: str, row: int, value: float) -> list[Episode]:
    given = recordings()
    rows = {"actions": given[number].actions, **given[number].observations}
    rows[name] = rows[name].copy()
    rows[name][row] = value
    given[number] = episode({"state": rows["state"]}, rows["actions"])
    return given


STATE = recording(13, 1).observations["state"]
FEW = [
    ([], "holds 0 episodes, where at least 2"),
    ([recording(20)], "holds 1 episodes, where at least 2"),
    (
        [*recordings(3), recording(7, 3), recording(2, 4)],
        r"2 of the episodes .* shorter than the 8 steps.*episode 3 with 7.*data.execute",
    ),
    (broken(2, "actions", 4, np.nan), "episode 2 .* 'actions' that are no finite.*first .* step 4"),
    (broken(1, "state", 0, np.inf), "episode 1 .* 'state' that are no finite .* in 1 steps"),
    (changed(1, actions=np.zeros((13, 3))), r"episode 1 .* \(13, 3\): \(steps, 2\) is needed"),
    (changed(1, actions=np.zeros(13)), r"episode 1 .* shape \(13,\)"),
    (changed(1, state=STATE[:, :2]), r"episode 1 .* 'state' of shape \(13, 2\)"),
    (changed(1, state=STATE[:-1]), "episode 1 .* 13 actions and 12 of 'state'"),
    (changed(1, state=STATE.astype(str)), "episode 1 .* which are no numbers"),
    (changed(1, image=np.zeros((13, 4, 4, 3), np.uint8)), r"'image' of shape \(13, 4, 4, 3\)"),
    (changed(1, image=np.zeros((13, 8, 10, 3))), "pictures float64 .* as uint8"),
    (
        [recording(20), *recordings(2, pictures=True)],
        "episode 1 .* observes 'image', 'state', and those before it 'state'",
    ),
    (
        [episode({"gripper": STATE, "elbow": STATE, "state": STATE}, STATE)] * 2,
        "observes 'elbow', 'gripper', and policies know 'image', 'state' only",
    ),
    ([episode({}, STATE)] * 2, "observes nothing"),
]


@pytest.mark.parametrize(("given", "said"), FEW, ids=[re.sub(r"\W+", "-", s) for _, s in FEW])
def test_episodes_that_cannot_be_used_are_named(given, said):
    with pytest.raises(UserError, match=said):
        data(given)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 0}, "frames must be at least 1"),
        ({"execute": 16}, "has no 16 to execute: at most 15"),
        ({"eval_fraction": 1.0}, "between 0 and 1"),
        ({"limit": 1}, "limit must be at least 2"),
    ],
)
def test_settings_that_make_no_windows_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        data(**options)
