"""The demonstrations of the policy quickstart: made once, and kept in the cache."""

from __future__ import annotations

from pathlib import Path

from argmind.data.base import digest_of
from argmind.data.episodes import read_episodes
from argmind.data.storage import cache_folder, locked
from argmind.policy.demos import record

ENVIRONMENT = "point"
#: Raised whenever environment or expert change.
_SCHEMA = 1


def demonstrations(count: int) -> Path:
    """The folder of so many episodes of the seeded expert; made if it is not there.

    Raises:
        UserError: the cache cannot be written.
    """
    key = digest_of(_SCHEMA, ENVIRONMENT, count)
    folder = cache_folder() / f"demonstrations-{ENVIRONMENT}-{key}"
    with locked(folder):
        if not folder.exists():
            record(folder, ENVIRONMENT, episodes=count)
    return folder


def demonstrated_routes(folder: Path) -> list[str]:
    """The route of every demonstration."""
    return [episode.route for episode in read_episodes(folder)]
