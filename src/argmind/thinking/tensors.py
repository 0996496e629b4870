"""The tensors inside nested dataclasses, tuples, lists and dictionaries, in a fixed order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar, cast

from torch import Tensor

T = TypeVar("T")


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor in ``value``; anything else that it holds is passed over."""
    if isinstance(value, Tensor):
        yield value
    for child in _children(value):
        yield from tensors_in(child)


def with_tensors(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """The same structure with every tensor changed; what is not a tensor is shared."""
    if isinstance(value, Tensor):
        return cast(T, change(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value) if item.init]
        changed = {name: with_tensors(getattr(value, name), change) for name in names}
        return dataclasses.replace(cast(Any, value), **changed)
    if isinstance(value, dict):
        plain = cast(dict[Any, Any], value)
        return cast(T, {key: with_tensors(item, change) for key, item in plain.items()})
    if isinstance(value, (list, tuple)):
        items = [with_tensors(item, change) for item in cast(list[Any], value)]
        named = hasattr(value, "_fields")
        return cast(T, type(value)(*items) if named else type(value)(items))
    return value


def signature(value: Any) -> Hashable:
    """What two values share that differ in their numbers alone: structure, shapes, types."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype, value.device
    children = tuple(signature(child) for child in _children(value))
    plain = isinstance(value, (int, float, str, bool, type(None)))
    return (type(value), value if plain else None, children)


def _children(value: Any) -> list[Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, item.name) for item in dataclasses.fields(value)]
    if isinstance(value, dict):
        return list(cast(dict[Any, Any], value).values())
    if isinstance(value, (list, tuple)):
        return list(cast(list[Any], value))
    return []
