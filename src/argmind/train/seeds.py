"""Where the randomness of training comes from: a pure function of seed, step and micro-batch."""

from __future__ import annotations

import hashlib

import torch


def seed_for(seed: int, step: int | str, micro: int) -> int:
    """The generator seed of micro-batch ``micro``, counted over all ranks and accumulation.

    One process with two micro-batches therefore draws what two processes with one each draw, and
    a resumed run needs no generator state.
    """
    name = f"{seed}/{step}/{micro}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def reseed(generator: torch.Generator, seed: int, step: int | str, micro: int) -> torch.Generator:
    """The same generator, set to the start of the stream of this micro-batch."""
    return generator.manual_seed(seed_for(seed, step, micro))
