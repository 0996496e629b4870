"""The grammar of the command line: standard argparse, with the nearest right word in errors.

A verb is a module of this package with ``add(parsers)``, which calls :func:`add_verb` and adds its
options, and ``run(args) -> int``, the exit code. What is slow to import is imported in ``run``.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, cast

from argmind import __version__
from argmind.errors import UserError, unknown

Run = Callable[[argparse.Namespace], int]

_BEGIN = """\
to begin:
  argmind quickstart                      train, think and compare in six minutes, offline
  argmind train text_ebt --data my.txt    train on your own text
  argmind list recipe                     what there is to train
  argmind VERB --help                     options, defaults and examples of a verb
"""


class Parser(argparse.ArgumentParser):
    """Knows its options by name, and raises where argparse would exit."""

    def __init__(self, **settings: Any) -> None:
        self.known: set[str] = set()
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an option or a positional argument."""
        self.known.update(name for name in names if str(name).startswith("--"))
        return super().add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise a :class:`UserError` that points to the help."""
        raise UserError(f"{message}. See `{self.prog} --help`.")


class Parsers(Protocol):
    """Where verbs add their parsers."""

    def add_parser(self, name: str, **settings: Any) -> Parser:
        """A new verb's parser."""
        ...


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help texts with the default where there is one; descriptions and examples as they are."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        unsaid = action.default is argparse.SUPPRESS or action.default in (None, "", [])
        unsaid = unsaid or action.nargs == 0 or not action.option_strings
        return text if unsaid else f"{text} (default: %(default)s)"


def add_verb(parsers: Parsers, name: str, run: Run, summary: str, *examples: str) -> Parser:
    """A verb's parser with its summary and at least one example."""
    shown = "\n".join(f"  {example}" for example in examples)
    parser = parsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"examples:\n{shown}",
    )
    parser.set_defaults(run=run)
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace | None:
    """Read a command; None where there is nothing to do but show the help.

    Raises:
        UserError: a word that is not known, with the nearest right one, or a wrong value.
        SystemExit: help or version was asked for and has been printed.
    """
    parser, verbs = _grammar()
    if not words:
        parser.print_help()
        return None
    _require_known(words, parser, verbs)
    return parser.parse_args(words)


def _grammar() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        prog="argmind",
        description="Energy-based transformers: models that think by descending an energy.",
        epilog=_BEGIN,
    )
    parser.add_argument("--version", action="version", version=f"argmind {__version__}")
    added = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    package = importlib.import_module(__package__ or "argmind.cli")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            verb = importlib.import_module(f"{package.__name__}.{module.name}")
            verb.add(cast(Parsers, added))
    verbs = dict(added.choices)
    for verb in verbs.values():
        verb.add_argument(
            "--json", action="store_true", help="print one JSON object on stdout, and nothing else"
        )
    return parser, verbs


def _require_known(words: Sequence[str], parser: Parser, verbs: dict[str, Parser]) -> None:
    """Judge verb and option names first: argparse has no nearest word, and other complaints."""
    first, *rest = words
    options = parser.known | {"--help"}
    if not first.startswith("-"):
        if first not in verbs:
            raise unknown("verb", first, verbs)
        options = verbs[first].known | {"--help"}
    else:
        rest = list(words)
    for word in rest:
        if word == "--":
            return
        name = word.partition("=")[0]
        if name.startswith("--") and " " not in name and name not in options:
            raise unknown("option", name, options)


# ------------------------------------------------------------------ kinds of values


def whole(least: int) -> Callable[[str], int]:
    """A whole number of at least ``least``."""

    def read(text: str) -> int:
        value = _number(int, text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return read


def one_of(what: str, *known: str) -> Callable[[str], str]:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in known:
            raise unknown(what, text, known)
        return text

    return read


def checkpoint(text: str) -> str | int:
    """``best``, ``last`` or the step of a checkpoint."""
    if text in ("best", "last"):
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    raise UserError(f"--which {text}: say best, last, or the step of a checkpoint.")


def _number(kind: type[int], text: str) -> int:
    try:
        return kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from error
