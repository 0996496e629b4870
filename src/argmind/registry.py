"""Names for variants: ``@register("space", "dual")`` makes a class selectable by configuration.

A part is a class with a nested frozen dataclass ``Config`` and a constructor whose first argument
is that config. Registering it buys selection (``model.space.kind=dual``), a row in ``argmind
list`` and the conformance tests; no other file needs an edit. Folders are imported when a kind is
first asked for; other packages add parts through the entry-point group ``argmind``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar

from argmind.errors import UserError, unknown

# Where the parts of each kind live: a package whose modules are imported on first use.
HOMES: dict[str, str] = {
    "attention": "argmind.nn.attention",
    "feedforward": "argmind.nn.feedforward",
    "norm": "argmind.nn.norm",
    "conditioning": "argmind.nn.conditioning",
    "observation": "argmind.nn.observation",
    "space": "argmind.spaces",
    "body": "argmind.energy",
    "head": "argmind.energy.heads",
    "rule": "argmind.thinking.rules",
    "schedule": "argmind.thinking.schedules",
    "stop": "argmind.thinking.stops",
    "objective": "argmind.objectives",
    "predictor": "argmind.predictors",
    "tokenizer": "argmind.data.tokenizers",
    "source": "argmind.data.sources",
    "image_source": "argmind.data.images",
    "task": "argmind.data.tasks",
    "scene": "argmind.data.scenes",
    "dataset": "argmind.data.datasets",
    "problem": "argmind.data.reasoning",
    "environment": "argmind.policy.environments",
    "expert": "argmind.policy.experts",
    "recipe": "argmind.recipes",
    "quickstart": "argmind.quickstart",
}

_parts: dict[str, dict[str, Any]] = {}
_loaded: set[str] = set()

T = TypeVar("T")


class Part:
    """What a registered part declares about itself; defaults suit a plain PyTorch part."""

    #: "native": autograd differentiates it twice; "custom": it brings its own second derivative;
    #: "none": it cannot be trained through thinking, and a recipe that tries is refused.
    second_order: ClassVar[str] = "native"


def register(kind: str, name: str) -> Callable[[T], T]:
    """Class (or function) decorator: make a part known under ``name``.

    Raises:
        ValueError: the kind has no home, the name is taken by something else, or the part only
            inherits its ``Config`` (which would build the parent).
    """
    if kind not in HOMES:
        raise ValueError(f"no such kind of part: {kind}; known: {', '.join(sorted(HOMES))}")

    def add(part: T) -> T:
        names = _parts.setdefault(kind, {})
        taken = names.get(name)
        if taken is not None and getattr(taken, "__qualname__", "") != part.__qualname__:  # type: ignore[attr-defined]
            raise ValueError(f"{kind} '{name}' is registered twice: {taken} and {part}")
        config = getattr(part, "__dict__", {}).get("Config")
        if config is None and hasattr(part, "Config"):
            raise ValueError(
                f"{kind} '{name}' needs a Config of its own, if only an empty subclass"
            )
        names[name] = part
        if config is not None:
            config.part_kind, config.part_name, config.owner = kind, name, part
        return part

    return add


def _load(kind: str) -> None:
    if kind in _loaded:
        return
    if kind not in HOMES:
        raise unknown("kind of part", kind, HOMES)
    home = importlib.import_module(HOMES[kind])
    for module in pkgutil.iter_modules(getattr(home, "__path__", [])):
        if not module.name.startswith("_"):
            importlib.import_module(f"{home.__name__}.{module.name}")
    for point in entry_points(group="argmind"):
        if point.name.partition(".")[0] == kind:
            point.load()
    _loaded.add(kind)


def find(kind: str, name: str) -> Any:
    """The part registered under this name.

    Raises:
        UserError: unknown kind or name, with the nearest right one.
    """
    _load(kind)
    names = _parts.get(kind, {})
    if name not in names:
        raise unknown(kind, name, names)
    return names[name]


def names(kind: str) -> list[str]:
    """All names of a kind, sorted."""
    _load(kind)
    return sorted(_parts.get(kind, {}))


def kinds() -> list[str]:
    """All kinds of parts, sorted."""
    return sorted(HOMES)


def summary(part: Any) -> str:
    """First line of a part's docstring."""
    text = (part.__doc__ or "").strip()
    return text.splitlines()[0] if text else ""


def require_second_order(part: Any, why: str) -> None:
    """Refuse a part that cannot be differentiated twice.

    Raises:
        UserError: the part declares ``second_order = "none"``.
    """
    if getattr(part, "second_order", "native") == "none":
        kind = part.Config.part_kind
        raise UserError(
            f"{kind} '{part.Config.part_name}' has no second derivative, and {why}. Choose another "
            f"one (`argmind list {kind}` shows what each supports)."
        )
