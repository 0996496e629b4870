"""A whole quickstart in seconds: tiny models, and a clock that asks for as little as there is."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from quickstart_tiny import TINY

from argmind.quickstart import tour as tour_module
from argmind.quickstart.text import TextDomain

Take = Callable[..., dict[str, Any]]
_CHECKER = Path(__file__).parents[1] / "report" / "html_check.py"


@dataclass(frozen=True)
class Toured:
    """What a tour gave back, and what it printed."""

    result: dict[str, Any]
    out: str
    err: str

    @property
    def run(self) -> Path:
        return Path(self.result["run"])


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def checked() -> Callable[[str], Any]:
    """The checker of pages that the tests of reports have."""
    spec = importlib.util.spec_from_file_location("html_check", _CHECKER)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("html_check", module)
    spec.loader.exec_module(module)
    return module.check


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path) -> Take:
    """``tour`` of tiny models in a folder of its own, with the fewest steps."""
    monkeypatch.setenv("ARGMIND_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return _tour


@pytest.fixture(scope="session")
def toured(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Toured:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGMIND_CACHE", str(cache))
        patch.chdir(tmp_path_factory.mktemp("whole"))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            result = _tour(seed=3)
        absolute = str(Path(result["run"]).resolve())
    return Toured({**result, "run": absolute}, out.getvalue(), err.getvalue())


def _tour(domain: TextDomain | None = None, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"minutes": 0.02, "out": None, "seed": 0, **options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tour_module, "LEAST_MINUTES", 0.01)
        return tour_module.tour(domain or TextDomain(TINY), **settings)
