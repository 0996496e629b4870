"""``argmind list``: the kinds of parts, and the parts of a kind."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from argmind.cli._parser import Parsers, add_verb

if TYPE_CHECKING:
    from rich.table import Table


def add(parsers: Parsers) -> None:
    """Add the verb."""
    parser = add_verb(
        parsers,
        "list",
        run,
        "list what there is to choose from: recipes, sizes, and the parts of every kind",
        "argmind list",
        "argmind list recipe",
        "argmind list attention",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="a kind; without it, all kinds")


def run(args: argparse.Namespace) -> int:
    """Print the kinds, or one kind's parts."""
    from argmind import registry
    from argmind.errors import unknown
    from argmind.nn.sizes import SIZES

    if args.kind is None:
        counts = {kind: len(registry.names(kind)) for kind in registry.kinds()}
        rows = [
            {"kind": kind, "count": number}
            for kind, number in sorted({**counts, "size": len(SIZES)}.items())
        ]
    elif args.kind == "size":
        rows = [{"size": name, **size._asdict()} for name, size in SIZES.items()]
    elif args.kind in registry.kinds():
        rows = [_row(args.kind, name) for name in registry.names(args.kind)]
    else:
        raise unknown("kind of part", args.kind, [*registry.kinds(), "size"])
    plain = {"kind": args.kind or "kinds", "entries": rows}
    args.screen.result(plain, lambda out: out.print(_table(rows)))
    return 0


def _row(kind: str, name: str) -> dict[str, Any]:
    from argmind import registry

    part = registry.find(kind, name)
    row: dict[str, Any] = {kind: name, "summary": registry.summary(part)}
    if inspect.isclass(part) and issubclass(part, registry.Part):
        row["second_order"] = part.second_order
    return row


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    heads = list(dict.fromkeys(head for row in rows for head in row))
    for head in heads:
        table.add_column(head.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(head, "")) for head in heads))
    return table
