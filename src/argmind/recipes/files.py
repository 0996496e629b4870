"""Recipes of one's own, in YAML or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from argmind.config import from_dict
from argmind.errors import UserError
from argmind.recipes.base import Recipe, find_recipe

SUFFIXES = (".yaml", ".yml", ".json")


def open_recipe(spec: str) -> Recipe:
    """A registered recipe by name, or one in a YAML or JSON file.

    The file holds the tree of :class:`Recipe`; what it leaves out has its default. The
    ``recipe.json`` of a run folder is such a file too.

    Raises:
        UserError: no such recipe or file, no valid YAML, or an option that is not known.
    """
    path = Path(spec).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        return find_recipe(spec)
    try:
        plain: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror or error}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML or JSON: {reason}.") from error
    if isinstance(plain, dict) and "recipe" in plain:
        plain = plain["recipe"]
    try:
        return from_dict(Recipe, plain)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
