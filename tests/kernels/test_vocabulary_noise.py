"""Noise that is a function of its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from argmind.kernels.vocabulary import chunks
from argmind.kernels.vocabulary.noise import counted_normal, philox
from argmind.randomness import Randomness


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(source: Randomness, *shape: int, std: float = 1.0) -> Tensor:
    return counted_normal(shape, std, source, torch.empty(0), torch.float32)


def words(column: int, row: int, key: tuple[int, int]) -> list[int]:
    one = torch.ones(1, dtype=torch.long)
    return philox(column * one, row * one, torch.tensor(key))[0].tolist()


def test_philox_gives_the_published_words() -> None:
    assert words(0, 0, (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_every_word_of_counter_and_key_matters() -> None:
    given = [(0, 0, (0, 0)), (1, 0, (0, 0)), (0, 1, (0, 0)), (0, 0, (1, 0)), (0, 0, (0, 1))]
    assert len({tuple(words(*one)) for one in given}) == len(given)


def test_it_is_normal() -> None:
    x = noise(seeded(0), 4, 50, 401, std=2.0).double() / 2
    assert x.mean().abs() < 0.02
    assert abs(x.square().mean() - 1) < 0.02
    assert abs(x.pow(4).mean() - 3) < 0.1
    flat = x.flatten(0, 1)
    for a, b in ((flat[1:], flat[:-1]), (flat[:, 1:], flat[:, :-1]), (x[1:], x[:-1])):
        assert (a * b).mean().abs() < 0.02


def test_it_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = noise(seeded(1), 2, 5, 7)
    monkeypatch.setattr(chunks, "CHUNK_NUMBERS", 8 * 7)
    assert len(list(chunks.chunks(5, 4 * 7))) == 3
    assert torch.equal(noise(seeded(1), 2, 5, 7), whole)


def test_a_row_draws_by_its_own_generator() -> None:
    both = noise([seeded(1), seeded(2)], 2, 3, 7)
    alone = noise([seeded(2)], 1, 3, 7)
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[0], both[1])


def test_the_generator_moves_on() -> None:
    generator = seeded(3)
    assert not torch.equal(noise(generator, 1, 2, 7), noise(generator, 1, 2, 7))
    assert torch.equal(noise(seeded(3), 1, 2, 7), noise(seeded(3), 1, 2, 7))


def test_other_types_hold_the_same_numbers() -> None:
    narrow = counted_normal((2, 3, 5), 1.0, seeded(0), torch.empty(0), torch.bfloat16)
    assert torch.equal(narrow, noise(seeded(0), 2, 3, 5).bfloat16())
