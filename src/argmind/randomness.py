"""Random draws from explicit generators: one for a batch, or one per row of it.

With a generator per row, what a row draws does not depend on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Randomness = torch.Generator | Sequence[torch.Generator] | None


def normal(shape: Sequence[int], like: Tensor, source: Randomness) -> Tensor:
    """Standard normal numbers with the type and device of ``like``."""
    return _draw(torch.randn, shape, like, source)


def uniform(shape: Sequence[int], like: Tensor, source: Randomness) -> Tensor:
    """Uniform numbers in [0, 1) with the type and device of ``like``."""
    return _draw(torch.rand, shape, like, source)


def _draw(
    draw: Callable[..., Tensor], shape: Sequence[int], like: Tensor, source: Randomness
) -> Tensor:
    given = {"device": like.device, "dtype": like.dtype}
    if source is None or isinstance(source, torch.Generator):
        return draw(tuple(shape), generator=source, **given)
    rows = [draw(tuple(shape[1:]), generator=generator, **given) for generator in source]
    return torch.stack(rows)
