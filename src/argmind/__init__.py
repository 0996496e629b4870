"""argmind: energy-based transformers, models that think by descending an energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Budget", "UserError", "__version__", "fit", "load"]

_HOMES = {
    "Budget": "argmind.thinking.budget",
    "UserError": "argmind.errors",
    "fit": "argmind.api",
    "load": "argmind.api",
}

if TYPE_CHECKING:
    from argmind.api import fit, load
    from argmind.errors import UserError
    from argmind.thinking.budget import Budget


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that ``import argmind`` stays instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'argmind' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
