"""Tiny runs, trained once per session, and the command line called in and out of process."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from argmind.cli import main

from .small_runs import CLIP_RUNS, CLIPS, IMAGE_RUNS, IMAGES

SMALL = [
    "data.context_tokens=32",
    "data.limit_tokens=20000",
    "training.batch_size=4",
    "training.eval_every=5",
    "training.eval_limit=6",
    "training.log_every=5",
    "optimizer.warmup_steps=2",
]


def tiny(transformer: str) -> list[str]:
    """Settings of two layers of width 16 on short windows."""
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}
    return [*SMALL, *(f"{transformer}.{name}={value}" for name, value in sizes.items())]


TINY = tiny("predictor.body.transformer")
TINY_RIVAL = tiny("predictor.transformer")


@dataclass
class Done:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Stdout as one JSON object, with nothing else there."""
        return json.loads(self.out)


def cli(*words: object) -> Done:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def start(*words: object, cwd: Path, module: str = "argmind", **settings: Any) -> subprocess.Popen:
    """A command in a process of its own."""
    command = [sys.executable, "-m", *module.split(), *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env=env, **settings
    )


def process(*words: object, cwd: Path, module: str = "argmind") -> Done:
    """A command in a process of its own, to its end."""
    child = start(*words, cwd=cwd, module=module)
    out, err = child.communicate(timeout=120)
    return Done(child.returncode, out, err)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARGMIND_CACHE", str(folder))
        patch.setenv("COLUMNS", "120")
        yield folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def trained(folder: Path, recipe: str, *words: str) -> Path:
    done = cli("train", recipe, "--steps", 10, "--out", folder, *words)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def ebt(runs):
    return trained(runs / "ebt", "text_ebt", "--set", *TINY)


@pytest.fixture(scope="session")
def noisy(runs):
    """A run without an amortised start."""
    return trained(runs / "noisy", "text_ebt", "--set", *TINY, "thinking.start=noise")


@pytest.fixture(scope="session")
def rival(runs):
    return trained(runs / "rival", "text_transformer_pp", "--set", *TINY_RIVAL)


@pytest.fixture(scope="session")
def by_pairs(runs):
    """A run that reads byte pairs instead of bytes."""
    return trained(runs / "pairs", "text_ebt", "--tokenizer", "bpe:300", "--set", *TINY)


@pytest.fixture(scope="session")
def image_run(runs):
    """The folder of one of ``IMAGE_RUNS``, trained when first asked for."""

    def folder(name):
        path = runs / f"image-{name}"
        if not path.exists():
            recipe, settings = IMAGE_RUNS[name]
            words = ["--data", "digits", "--steps", 5, "--device", "cpu", "--out", path]
            done = cli("train", recipe, *words, "--set", *IMAGES, *settings)
            assert done.code == 0, done.err
        return path

    return folder


@pytest.fixture(scope="session")
def clip_run(runs):
    """The folder of one of ``CLIP_RUNS``, trained when first asked for."""

    def folder(name):
        if name == "pusht":
            pytest.importorskip("gym_pusht", reason="Push-T needs the extra 'policy'")
        pytest.importorskip("sklearn", reason="digits come from scikit-learn")
        path = runs / f"video-{name}"
        if not path.exists():
            recipe, settings = CLIP_RUNS[name]
            words = ["--steps", 2, "--device", "cpu", "--out", path, "--set", *CLIPS, *settings]
            done = cli("train", recipe, *words)
            assert done.code == 0, done.err
            assert f"argmind imagine {path}" in done.out
        return path

    return folder


def ok(*words: object) -> dict[str, Any]:
    """What a command that succeeds says with ``--json``."""
    done = cli(*words, "--json")
    assert done.code == 0, done.err
    return done.json


def refused(*words: object) -> str:
    """The one line that a command which is refused says."""
    done = cli(*words)
    assert done.code == 2, done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    return done.err
