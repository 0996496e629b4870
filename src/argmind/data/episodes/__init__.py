"""Recorded episodes in Parquet files, in the column layout of LeRobot datasets."""

from argmind.data.episodes.base import Episode, Origin
from argmind.data.episodes.origin import load_origin, save_origin
from argmind.data.episodes.read import read_episodes, read_origin
from argmind.data.episodes.write import require_free, write_episodes

__all__ = [
    "Episode",
    "Origin",
    "load_origin",
    "read_episodes",
    "read_origin",
    "require_free",
    "save_origin",
    "write_episodes",
]
