"""Which environment a run belongs to: the one that its demonstrations were recorded in."""

from __future__ import annotations

from collections.abc import Sequence

from argmind.config import override
from argmind.data.episodes import load_origin
from argmind.errors import UserError
from argmind.policy.environments.base import EnvironmentConfig, environment_config
from argmind.registry import names
from argmind.runs import LoadedRun


def environment_of(
    run: LoadedRun, name: str | None = None, settings: Sequence[str] = ()
) -> EnvironmentConfig:
    """The environment of a run's demonstrations, or the one of this name; ``build()`` makes it.

    Args:
        settings: changes to it, such as ``max_steps=200``.

    Raises:
        UserError: it is not known any more, or not to argmind, or a setting is wrong.
    """
    if name is not None:
        return override(environment_config(name, {}), list(settings))
    origin, known = load_origin(run.folder), ", ".join(names("environment"))
    if origin is None:
        raise UserError(
            f"{run.folder} was taught on episodes from Python, in an environment that is not "
            f"known: name it with --env ({known})."
        )
    if origin.environment not in names("environment"):
        raise UserError(
            f"the demonstrations of {run.folder} come from '{origin.environment}', which is no "
            f"environment of argmind: name one with --env ({known}), or "
            "let the policy act in a loop of your own (argmind.load(RUN).act(observation))."
        )
    return override(environment_config(origin.environment, dict(origin.settings)), list(settings))
