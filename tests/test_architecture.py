"""Imports go one way, stay light, and nothing is ever unpickled."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import argmind

SOURCE = Path(argmind.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

#: Each may import from itself and from what stands before it.
ORDER = (
    *("errors", "registry", "config", "randomness", "kernels"),
    *("nn", "diffusion", "spaces", "energy", "thinking"),
    *("predictors", "objectives", "data"),
    *("train", "eval", "report"),
    *("recipes", "assembly", "bench", "runs", "text", "image", "video", "reasoning", "policy"),
    *("convert", "api", "quickstart"),
    *("cli", "__main__"),
)
OPTIONAL = (
    *("matplotlib", "datasets", "pyarrow", "tokenizers", "tensorboard"),
    *("PIL", "sklearn", "diffusers"),
    *("gymnasium", "gymnasium_robotics", "gym_pusht", "metaworld", "mujoco", "pymunk", "pygame"),
)


def room(path: Path) -> str:
    """``nn`` for ``nn/norm/rms.py``, ``config`` for ``config.py``."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a module imports, in functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write imports in full"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def is_kernel(path: Path) -> bool:
    """Written in Triton, which comes with PyTorch for GPUs alone."""
    return any(name.partition(".")[0] == "triton" for _, name in imported(path))


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(SOURCE)}:{line}"


def test_every_room_has_its_place() -> None:
    rooms = {room(path) for path in MODULES} - {"__init__"}
    assert rooms == set(ORDER) & rooms, "say in ORDER where a new package stands"


def test_imports_go_one_way() -> None:
    wrong = []
    for path in MODULES:
        if path == SOURCE / "__init__.py":  # names for users, imported when first used
            continue
        for line, name in imported(path):
            package, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if package != "argmind" or target not in ORDER:
                continue
            if ORDER.index(target) > ORDER.index(room(path)):
                wrong.append(f"{where(path, line)} imports {name}")
    assert not wrong


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_argmind_is_instant_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time; began = time.perf_counter(); import argmind;"
        "print(time.perf_counter() - began, *sys.modules)"
    )
    duration_s, *modules = run(code).split()
    assert float(duration_s) < 1
    assert not {"torch", "numpy", "yaml", "rich", *OPTIONAL} & set(modules)


def test_every_module_imports_with_core_dependencies_alone() -> None:
    names = [
        ".".join(("argmind", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in MODULES
        if path.name != "__main__.py" and not is_kernel(path)
    ]
    run(f"""
import importlib, sys
for name in {OPTIONAL!r}:
    sys.modules[name] = None  # importing it now raises ImportError
for name in {names!r}:
    importlib.import_module(name)
""")


UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def unsafe_calls(path: Path) -> Iterator[str]:
    """Ways of running code out of a file; the errors of those modules may be caught."""
    for node in ast.walk(tree(path)):
        taken = [name.name for name in node.names] if isinstance(node, ast.ImportFrom) else []
        harmless = all(name.endswith("Error") for name in taken)
        if isinstance(node, ast.ImportFrom) and node.module in UNSAFE and not harmless:
            yield f"{where(path, node.lineno)}: from {node.module} import"
        used = node.attr if isinstance(node, ast.Attribute) else "Error"
        if not used.endswith("Error") and ast.unparse(node.value) in UNSAFE:
            yield f"{where(path, node.lineno)}: {ast.unparse(node)}"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        called = ast.unparse(node.func)
        if called == "torch.load" and given.get("weights_only") != "True":
            yield f"{where(path, node.lineno)}: torch.load without weights_only=True"
        if given.get("allow_pickle", "False") != "False":
            yield f"{where(path, node.lineno)}: allow_pickle"
        if called == "yaml.load":
            yield f"{where(path, node.lineno)}: yaml.load, not safe_load"


def test_nothing_is_unpickled() -> None:
    assert not [problem for path in MODULES for problem in unsafe_calls(path)]


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x, allow_pickle=True)",
        "yaml.load(x)",
        "pickle.load(x)",
        "from pickle import load",
    ],
)
def test_unsafe_calls_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(line, encoding="utf-8")
    assert len(list(unsafe_calls(path))) == 1
