"""The files that a path, a folder or a glob means."""

from __future__ import annotations

import difflib
import glob
from pathlib import Path

from argmind import registry
from argmind.errors import UserError, suggestion


def find_files(spec: str, suffixes: tuple[str, ...], kind: str, advice: str = "") -> list[Path]:
    """All files that ``spec`` means, in a fixed order.

    Args:
        suffixes: what is picked up from a folder, in lower case.
        kind: of the registered parts that ``spec`` might be a misspelt name of.
        advice: said where a folder holds no such file.

    Raises:
        UserError: there is none.
    """
    path = Path(spec).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        return _in_folder(path, suffixes, advice)
    if glob.has_magic(spec):
        found = sorted(glob.glob(str(path), recursive=True))
        files = [Path(name) for name in found if Path(name).is_file()]
        if not files:
            raise UserError(f"no file matches '{spec}'. Quote the pattern and check the folder.")
        return files
    raise _absent(path, kind)


def _in_folder(folder: Path, suffixes: tuple[str, ...], advice: str) -> list[Path]:
    files = [
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(suffixes)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        listed = ", ".join("*" + suffix for suffix in suffixes)
        raise UserError(
            f"no usable file in the folder {folder} or below it. Files that are read: {listed}. "
            f"{advice}".rstrip()
        )
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix())


def _absent(path: Path, kind: str) -> UserError:
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    siblings = [entry.name for entry in sorted(missing.parent.iterdir())]
    if not missing.name.startswith("."):
        siblings = [name for name in siblings if not name.startswith(".")]
    near = difflib.get_close_matches(missing.name, siblings, n=1)
    hint = f" Did you mean '{missing.parent / near[0]}'?" if near else ""
    if not hint and len(path.parts) == 1:
        hint = suggestion(path.name, registry.names(kind))
    if missing != path:
        return UserError(f"no such file: {path} (there is no {missing}).{hint}")
    return UserError(f"no such file: {path}.{hint}")
