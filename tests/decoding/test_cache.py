"""Buffers that a context grows in: nothing is copied, nothing is mixed up."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from argmind.nn.cache import Fixed, Growing, with_room
from argmind.nn.self_attention import KeysValues


def rows(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64).view(1, -1, 1)


def test_appending_copies_nothing_while_there_is_room() -> None:
    room = Growing()
    seen = room.append("k", rows(1, 2), rows(3), 1)
    places = {seen.data_ptr()}
    for number in range(4, 60):
        seen = room.append("k", seen, rows(number), 1)
        places.add(seen.data_ptr())
    assert len(places) == 1
    assert seen.flatten().tolist() == list(range(1, 60))


def test_the_number_of_moves_grows_with_the_logarithm() -> None:
    room, seen, places = Growing(), rows(0), []
    for number in range(3000):
        seen = room.append("k", seen, rows(number), 1)
        places.append(seen.data_ptr())
    moves = sum(a != b for a, b in pairwise(places))
    assert moves < 12
    assert seen.shape[1] == 3001


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 99)), min_size=1, max_size=30))
def test_every_version_keeps_what_it_holds(choices: list[tuple[int, int]]) -> None:
    """Any tree of continuations that share one room."""
    room = Growing()
    known = [([7.0], rows(7))]
    for parent, number in choices:
        plain, seen = known[parent % len(known)]
        known.append(([*plain, float(number)], room.append("k", seen, rows(number), 1)))
        for expected, tensor in known:
            assert tensor.flatten().tolist() == expected


def test_fixed_buffers_are_written_in_place_behind_what_leads() -> None:
    buffer = with_room(torch.ones(2, 1, 3, 4), 8, axis=2)
    place = torch.tensor([2])
    layer = Fixed(place).taking("layer", KeysValues(buffer, buffer.clone()), lead=1)
    seen = layer(KeysValues(torch.full((2, 1, 1, 4), 5.0), torch.full((2, 1, 1, 4), 6.0)))
    assert seen.keys.data_ptr() == buffer.data_ptr()
    assert seen.keys[0, 0, :, 0].tolist() == [1, 1, 1, 5, 0, 0, 0, 0]
    assert seen.values[1, 0, :, 0].tolist() == [1, 1, 1, 6, 0, 0, 0, 0]
    place.add_(1)
    layer = Fixed(place).taking("layer", seen, lead=1)
    layer(KeysValues(torch.full((2, 1, 1, 4), 7.0), torch.full((2, 1, 1, 4), 7.0)))
    assert seen.keys[0, 0, :, 0].tolist() == [1, 1, 1, 5, 7, 0, 0, 0]
