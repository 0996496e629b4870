"""Frozen dataclass trees as configuration: strict reading, dotted overrides, helpful errors.

A tree is made of ``@dataclass(frozen=True, kw_only=True)`` classes. A field that holds a
registered part is declared with :func:`part`; in files it is a mapping with a ``kind``::

    space: PartConfig = part("space", "dual")        # space: {kind: dual, start: amortised}
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import yaml

from argmind import registry
from argmind.errors import UserError, unknown

C = TypeVar("C")
_MISSING = dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """Base of the ``Config`` nested in a registered part."""

    part_kind: ClassVar[str] = ""
    part_name: ClassVar[str] = ""
    owner: ClassVar[Any] = None

    def build(self, *args: Any, **kwargs: Any) -> Any:
        """Make the part: ``owner(config, *args, **kwargs)``."""
        return self.owner(self, *args, **kwargs)


def part(kind: str, default: str, **changes: Any) -> Any:
    """A field that holds the config of a registered part of this kind."""
    return field(
        default_factory=lambda: part_config(kind, default, **changes), metadata={"part": kind}
    )


def part_config(kind: str, name: str, **changes: Any) -> Any:
    """The config of the part ``name``, with some fields changed."""
    return registry.find(kind, name).Config(**changes)


def parts_of(config: Any) -> Iterator[PartConfig]:
    """Every part's config in a tree, its own included."""
    if isinstance(config, PartConfig):
        yield config
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from parts_of(value)


# ------------------------------------------------------------------ to plain data


def to_dict(value: Any) -> Any:
    """A tree as plain data (mappings, lists, scalars), ready for YAML and JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain: dict[str, Any] = {}
        if isinstance(value, PartConfig) and value.part_name:
            plain["kind"] = value.part_name
        for item in dataclasses.fields(value):
            plain[item.name] = to_dict(getattr(value, item.name))
        return plain
    if isinstance(value, Mapping):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value


# ------------------------------------------------------------------ from plain data


def from_dict(cls: type[C], plain: Any, where: str = "") -> C:
    """Read a tree strictly.

    Raises:
        UserError: an unknown key (with the nearest right one), a wrong type, a missing value.
    """
    if not isinstance(plain, Mapping):
        raise UserError(f"{where or cls.__name__}: expected a mapping, got {plain!r}.")
    if issubclass(cls, PartConfig) and "kind" in plain:
        plain = dict(plain)
        if (kind := plain.pop("kind")) != cls.part_name:
            raise UserError(f"{where or 'kind'}: expected '{cls.part_name}', got {kind!r}.")
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in plain.items():
        if key not in fields:
            raise unknown("option", f"{where}.{key}".lstrip("."), [_join(where, n) for n in fields])
        values[key] = _read(fields[key], hints[key], value, _join(where, key))
    missing = [n for n, item in fields.items() if n not in values and _required(item)]
    if missing:
        raise UserError(f"{where or cls.__name__}: missing {', '.join(missing)}.")
    try:
        return cls(**values)
    except ValueError as error:  # a check in __post_init__
        raise UserError(f"{where or cls.__name__}: {error}") from error


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _required(item: dataclasses.Field[Any]) -> bool:
    return item.default is _MISSING and item.default_factory is _MISSING


def _read(item: dataclasses.Field[Any], hint: Any, value: Any, where: str) -> Any:
    kind = item.metadata.get("part")
    if kind is None:
        return _coerce(hint, value, where)
    if isinstance(value, PartConfig):
        if value.part_kind != kind:
            raise UserError(f"{where}: expected a {kind}, got the {value.part_kind} {value!r}.")
        return value
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping):
        raise UserError(f"{where}: expected a {kind} name or a mapping, got {value!r}.")
    rest = dict(value)
    name = rest.pop("kind", None)
    if name is None:
        if item.default_factory is _MISSING:
            raise UserError(f"{where}: say which {kind} with 'kind'.")
        name = item.default_factory().part_name
    return from_dict(registry.find(kind, str(name)).Config, rest, where)


def _coerce(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _coerce_union(args, value, where)
    if origin is Literal:
        if value not in args:
            raise unknown(f"value of {where}", str(value), [str(a) for a in args])
        return value
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin in (tuple, list):
        return _coerce_sequence(origin, args, value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: expected a mapping, got {value!r}.")
        return dict(value)
    return _coerce_scalar(hint, value, where)


def _coerce_union(args: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None:
        if type(None) in args:
            return None
        raise UserError(f"{where}: may not be empty.")
    problems = []
    for arg in args:
        if arg is type(None):
            continue
        try:
            return _coerce(arg, value, where)
        except UserError as error:
            problems.append(error)
    raise problems[-1]


def _coerce_sequence(origin: Any, args: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise UserError(f"{where}: expected a list, got {value!r}.")
    if origin is list or (len(args) == 2 and args[1] is Ellipsis):
        inner = args[0] if args else Any
        return origin(_coerce(inner, v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(args) != len(value):
        raise UserError(f"{where}: expected {len(args)} values, got {value!r}.")
    pairs = enumerate(zip(args, value, strict=True))
    return tuple(_coerce(a, v, f"{where}[{i}]") for i, (a, v) in pairs)


def _coerce_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    wrong_bool = isinstance(value, bool) and hint is not bool
    if isinstance(hint, type) and (not isinstance(value, hint) or wrong_bool):
        raise UserError(f"{where}: expected {hint.__name__}, got {value!r}.")
    return value


# ------------------------------------------------------------------ overrides


def override(config: C, settings: list[str]) -> C:
    """Apply ``a.b=value`` settings (values are YAML) and read the tree again, strictly.

    ``space=dual`` or ``space.kind=dual`` swaps a part; fields of the old part do not carry over.
    Shallow settings come first, so that a part is swapped before its own options are set.

    Raises:
        UserError: a setting without '=', an unknown option, a value of the wrong type.
    """
    plain = to_dict(config)
    for setting in sorted(settings, key=_depth):
        path, equals, text = setting.partition("=")
        if not equals or not path.strip():
            raise UserError(f"cannot read --set {setting!r}: write name.of.option=value.")
        try:
            value = yaml.safe_load(text) if text else None
        except yaml.YAMLError as error:
            raise UserError(f"--set {setting!r}: the value is not valid YAML ({error}).") from error
        _assign(plain, path.strip().split("."), value)
    return from_dict(type(config), plain)


def _depth(setting: str) -> int:
    return setting.partition("=")[0].strip().removesuffix(".kind").count(".")


def _assign(plain: dict[str, Any], path: list[str], value: Any) -> None:
    node: Any = plain
    for depth, key in enumerate(path[:-1]):
        if not isinstance(node, dict) or key not in node:
            known = [".".join([*path[:depth], k]) for k in node] if isinstance(node, dict) else []
            raise unknown("option", ".".join(path[: depth + 1]), known)
        node = node[key]
    last = path[-1]
    if last == "kind" and isinstance(node, dict):
        if node.get("kind") != value:
            node.clear()
        node["kind"] = value
    elif (
        isinstance(node, dict) and last in node and _is_part(node[last]) and isinstance(value, str)
    ):
        _assign(node, [last, "kind"], value)
    elif isinstance(node, dict):
        # An unknown key of a freshly swapped part is judged when the tree is read again.
        node[last] = value
    else:
        raise UserError(f"option {'.'.join(path[:-1])} has no parts to set.")


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and "kind" in value
