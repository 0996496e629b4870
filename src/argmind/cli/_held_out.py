"""Where held-out samples come from, whatever they are of."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argmind.config import override
from argmind.errors import UserError

if TYPE_CHECKING:
    from argmind.cli._screen import Screen
    from argmind.runs import LoadedRun


def is_own(given: str | None, config: Any) -> bool:
    """Is nothing named, or what the run was trained on? That is no data to measure on."""
    if given is None or given == config.source:
        return True
    return config.source is not None and Path(given).resolve() == Path(config.source).resolve()


def own_data(run: LoadedRun, config: Any, what: str, args: argparse.Namespace, **given: Any) -> Any:
    """The data that a run was trained on, as another config of them has it.

    Args:
        what: the samples, in words.
        given: to build them with; the seed is the run's own unless one is given.

    Raises:
        UserError: they are gone, or others; says to name some with ``--data``.
    """

    settings = {"seed": run.recipe.training.seed, **given}

    def build(which: Any) -> Any:
        return reading(
            args.screen,
            lambda progress: which.build(progress=progress, **settings),
            what,
        )

    try:
        data = build(run.recipe.data)
    except UserError as error:
        raise UserError(f"{error} Name {what} to measure on with --data.") from error
    require_same(data, run)
    return data if config == run.recipe.data else build(config)


def own_name(config: Any) -> str:
    """What of its data a run is measured on."""
    return config.eval_source or f"the held-out part of {config.source}"


def require_same(data: Any, run: LoadedRun) -> None:
    """Refuse data that is not what the run was trained on: what of it was held out is not known.

    Raises:
        UserError: it is other data.
    """
    if data.fingerprint != run.data_fingerprint:
        source = getattr(run.recipe.data, "source", "")
        raise UserError(
            f"what {run.folder} held out of its data is not known: '{source}' is not the data that "
            "it was trained on. Name data to measure on with --data."
        )


def reading(screen: Screen, read: Callable[[Any], Any], what: str = "text") -> Any:
    """What ``read`` returns, given a bar for its progress."""
    with screen.reading(what) as progress:
        return read(progress)


def changed(run: LoadedRun, settings: list[str], allowed: Sequence[str], example: str) -> Any:
    """The config of a run's data with ``--set`` applied, which may change only some of it.

    Raises:
        UserError: a setting of something else, or one that cannot be used.
    """
    for setting in settings:
        path = setting.partition("=")[0].strip()
        if not any(path == one or path.startswith(f"{one}.") for one in allowed):
            raise UserError(
                f"--set {setting}: only {' and '.join(allowed)} may be changed here, such as "
                f"{example}."
            )
    return override(run.recipe, settings).data


def part_words(config: Any) -> str:
    """``denoise level=0.5``: a part of the data, and its options where they are set."""
    plain = {name: value for name, value in vars(config).items() if value is not None}
    return " ".join([config.part_name, *(f"{name}={value}" for name, value in plain.items())])
