"""The space of action chunks: sizes, starts, moves, problems that do not fit."""

from __future__ import annotations

import pytest
import torch

from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.spaces.actions import ActionSpace, unit_size
from argmind.thinking.budget import Budget

from .chunks import ACTION, CHUNK, FRAMES, STATE, demonstrations, generator, policy


def space(**options: object) -> ActionSpace:
    made = policy(space=part_config("space", "actions", **options)).space
    assert isinstance(made, ActionSpace)
    return made


def test_every_chunk_is_brought_to_unit_size_by_itself() -> None:
    y = (
        torch.randn(5, 3, CHUNK, ACTION, generator=generator())
        * torch.logspace(-1, 1, 5)[:, None, None, None]
    )
    begun = space().begin(y)
    torch.testing.assert_close(begun.square().mean((-2, -1)).sqrt(), torch.ones(5, 3))
    for row in range(5):
        assert torch.equal(space().begin(y[row : row + 1]), begun[row : row + 1])
    torch.testing.assert_close(space().begin(100 * y), begun)  # up to its size, a chunk stays


def test_nothing_stays_nothing() -> None:
    y = torch.zeros(1, 1, CHUNK, ACTION, requires_grad=True)
    begun = unit_size(y)
    assert torch.equal(begun, torch.zeros_like(y))
    (slope,) = torch.autograd.grad(begun.sum(), y)
    assert slope.isfinite().all()


def test_without_normalising_a_step_begins_at_the_chunk_itself() -> None:
    y = torch.randn(2, 1, CHUNK, ACTION)
    assert space(normalise=False).begin(y) is y


def test_one_problem_is_answered_as_among_others() -> None:
    """Steps that normalised over the batch would couple its problems."""
    model = policy().double()
    problem, _ = model.task(demonstrations(4, generator()))
    problem["state"][1] *= 50  # a neighbour unlike the others

    def answer(rows: slice) -> torch.Tensor:
        some = {name: x[rows] for name, x in problem.items()}
        drawing = [generator(seed) for seed in range(4)][rows]
        return model.predict(some, Budget(steps=3, candidates=2), drawing).output

    together = answer(slice(0, 4))
    for row in range(4):
        alone = answer(slice(row, row + 1))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-9, atol=1e-10)


def test_steps_go_from_where_the_energy_was_taken() -> None:
    y, point, delta = (torch.randn(1, 1, CHUNK, ACTION) for _ in range(3))
    assert torch.equal(space().move(y, point, delta), point - delta)


def test_a_finished_chunk_keeps_its_own_size() -> None:
    """A stop leaves the answer as it is, not where the step that was not taken would begin."""
    model = policy(schedule=part_config("schedule", "constant", size=0.1))
    problem, _ = model.task(demonstrations(3, generator()))
    start = 3 * torch.randn(3, 1, CHUNK, ACTION, generator=generator(1))
    at_once = Budget(steps=5, stop=part_config("stop", "gradient_norm", tolerance=1e9))
    left = model.thinker.think(model.landscape(problem), at_once, start=start)
    assert torch.equal(left.candidate, start)
    assert (left.steps == 0).all()


def test_steps_that_are_taken_back_leave_an_answer_of_its_own_size() -> None:
    model = policy(schedule=part_config("schedule", "constant", size=1e6))
    problem, _ = model.task(demonstrations(3, generator()))
    start = 3 * torch.randn(3, 1, CHUNK, ACTION, generator=generator(1))
    thought = model.thinker.think(
        model.landscape(problem), Budget(steps=1, accept_lower=True), start=start
    )
    kept = (thought.candidate == start).flatten(1).all(1)
    energy = model.landscape(problem).energy(start, 0)
    assert thought.energy is not None
    assert (thought.energy <= energy).all()
    assert torch.equal(thought.energy[kept], energy[kept])


def test_answers_are_cut_off_where_asked() -> None:
    y = torch.tensor([-3.0, 0.2, 3.0])
    assert torch.equal(space(clip=1.0).decode(y), torch.tensor([-1.0, 0.2, 1.0]))
    assert space().decode(y) is y
    # The loss sees beyond: there must be a way back.
    far = torch.full((1, 1, CHUNK, ACTION), 5.0)
    assert space(clip=1.0).loss(far, torch.zeros(1, CHUNK, ACTION)) == 25


def test_places_in_a_chunk_are_told_apart() -> None:
    rows = space().embed(torch.zeros(1, 1, CHUNK, ACTION)).input[0, 0]
    assert len(torch.unique(rows, dim=0)) == CHUNK


def test_a_batch_is_a_problem_and_its_actions() -> None:
    batch = demonstrations(2, generator())
    problem, target = space().task({**batch, "image": torch.zeros(2, FRAMES, 3, 8, 8)})
    assert set(problem) == {"state", "image"}
    assert torch.equal(target, batch["actions"])
    assert space().extent(problem) == (2, CHUNK)


# ---------------------------------------------------------------------- what does not fit


def test_problems_that_lack_something_say_what() -> None:
    model = policy()
    with pytest.raises(UserError, match="needs 'state', and the problem has only \\['velocity'\\]"):
        model.predict({"velocity": torch.zeros(1, FRAMES, STATE)})
    with pytest.raises(UserError, match="'state' should be \\(problems, frames, 3\\), got"):
        model.predict({"state": torch.zeros(1, FRAMES, STATE + 1)})
    with pytest.raises(UserError, match="looks at the last 2 frames, and got 3"):
        model.predict({"state": torch.zeros(1, 3, STATE)})


def test_data_without_pictures_cannot_be_seen() -> None:
    with pytest.raises(UserError, match="reads 'image', and the data observes only state"):
        space(observation=part_config("observation", "image"))


def test_spaces_and_bodies_must_fit() -> None:
    config = part_config("predictor", "ebt").__class__
    with pytest.raises(UserError, match="do not go together"):
        from_dict(config, {"space": "actions", "body": "bidirectional"})


def test_a_bound_is_above_nothing() -> None:
    with pytest.raises(ValueError, match="clip must be positive"):
        part_config("space", "actions", clip=0.0)
