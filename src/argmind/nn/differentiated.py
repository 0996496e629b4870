"""How often what is computed will be differentiated.

Training differentiates an inner gradient and so needs second derivatives, which PyTorch's own
fused operations lack or take a slow way to. Thinking alone needs first ones: there they serve.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_ONCE: ContextVar[bool] = ContextVar("differentiated_once", default=False)


@contextmanager
def once() -> Generator[None]:
    """Nothing computed within will be differentiated more than once."""
    before = _ONCE.set(True)
    try:
        yield
    finally:
        _ONCE.reset(before)


def at_most_once() -> bool:
    """Whether PyTorch's own fused forms serve: no second derivative is asked for.

    Never while compiling: compilers fuse the plain forms themselves.
    """
    if torch.compiler.is_compiling():
        return False
    return _ONCE.get() or not torch.is_grad_enabled()
