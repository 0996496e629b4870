"""What the README shows is run: its Python as it stands, its commands through the parser."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import argmind
from argmind.cli._parser import parse

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.S)


COMMANDS = [
    line for block in blocks("bash") for line in block.splitlines() if line.startswith("argmind ")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a small run where the README expects the quickstart's."""
    folder = tmp_path_factory.mktemp("readme")
    small = ["training.steps=2", "training.batch_size=4", "data.context_tokens=32"]
    argmind.fit(
        ["A sentence about imports, long enough to learn from. " * 40],
        out=folder / "runs" / "quickstart",
        size="4xs",
        settings=small,
        silent=True,
    )
    return folder


def test_there_are_blocks_to_run():
    assert len(blocks("python")) == 2
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("code", blocks("python"), ids=["load", "train"])
def test_python_runs(
    code: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert len(code.strip().splitlines()) <= 7, "the README promises five lines and an import"
    monkeypatch.chdir(folder)
    exec(compile(code, str(README), "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str):
    assert parse(shlex.split(command, comments=True)[1:]) is not None


def test_linked_files_exist():
    links = re.findall(r"\]\(((?!http)[^)#]+)", TEXT)
    assert links
    for link in links:
        assert (README.parent / link).exists(), link


def test_no_figure_without_its_command():
    assert "QUICKSTART_OUTPUT" not in TEXT
    assert "\nRESULTS\n" not in TEXT
