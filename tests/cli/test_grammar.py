"""Help, unknown words, and how a command ends."""

import json
import os
import pkgutil
import re
import subprocess
import sys
import time

import pytest

import argmind
import argmind.cli._main
from argmind.cli import list as list_verb

from .conftest import cli, process, start

VERBS = sorted(
    module.name
    for module in pkgutil.iter_modules(argmind.cli.__path__)
    if not module.name.startswith("_")
)


def test_all_verbs_are_there():
    assert set(VERBS) >= {
        *("quickstart", "train", "eval", "generate", "think"),
        *("compare", "list", "doctor", "convert"),
    }
    done = cli("--help")
    assert done.code == 0
    assert all(f"    {verb}" in done.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example_and_comes_at_once(verb, tmp_path):
    began = time.perf_counter()
    done = process(verb, "--help", cwd=tmp_path)
    assert time.perf_counter() - began < 1.5  # what importing torch alone takes, and more
    assert done.code == 0
    assert f"\n  argmind {verb}" in done.out.partition("examples:")[2]
    assert "--json" in done.out


def test_help_shows_defaults():
    text = " ".join(cli("eval", "--help").out.split())
    assert "samples at a time (default: 8)" in text
    assert "draws (default: 0)" in text
    assert "default: None" not in text
    assert "default: []" not in cli("train", "--help").out


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from argmind.cli import main; main(['train', '--help']); "
        "print([m for m in ('torch', 'numpy', 'rich') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_no_words_show_help_and_version_is_told():
    assert "argmind quickstart" in cli().out
    assert cli("--version").out.strip() == f"argmind {argmind.__version__}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "unknown verb 'trian'. Did you mean 'train'?"),
        (["--verison"], "unknown option '--verison'. Did you mean '--version'?"),
        (["train", "--stpes", "3"], "unknown option '--stpes'. Did you mean '--steps'?"),
        (["eval", "run", "--step", "3"], "Did you mean '--steps'?"),
        (["generate", "run", "--promt=x"], "unknown option '--promt'. Did you mean '--prompt'?"),
        (["think", "run"], "required: --prompt. See `argmind think --help`."),
        (["eval"], "required: RUN"),
        (["eval", "run", "--steps", "two"], "--steps: 'two' is no whole number"),
        (["eval", "run", "--limit", "0"], "--limit: must be at least 1, got 0"),
        (["eval", "run", "--select", "min_enrgy"], "Did you mean 'min_energy'?"),
        (["eval", "run", "--which", "newest"], "--which newest: say best, last, or the step"),
    ],
)
def test_wrong_words_name_the_right_ones(words, said, tmp_path):
    done = cli(*words)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert done.out == ""
    assert not list(tmp_path.iterdir())


def test_a_value_may_look_like_an_option_when_it_is_text(ebt):
    done = cli("think", ebt, "--prompt", "--- a title", "--json")
    assert done.json["prompt"] == "--- a title"


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_says_how_to_see_more(debug, monkeypatch):
    def broken(*_):
        raise RuntimeError("the wheels came off")

    monkeypatch.setattr(list_verb, "_table", broken)
    monkeypatch.setenv(argmind.cli._main.DEBUG, debug)
    done = cli("list", "size")
    assert done.code == 1
    assert "RuntimeError: the wheels came off" in done.err
    assert ("Traceback" in done.err) == bool(debug)
    assert ("ARGMIND_DEBUG=1" in done.err) != bool(debug)


def test_ctrl_c_outside_training_is_130(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(list_verb, "_table", interrupted)
    assert cli("list", "size").code == 130


def test_a_reader_that_leaves_is_no_error(tmp_path):
    child = start("list", "size", cwd=tmp_path)
    child.stdout.close()
    assert child.wait(timeout=60) == 141
    assert child.stderr.read() == ""


def test_only_the_first_process_of_torchrun_speaks(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    done = cli("list", "size")
    assert (done.code, done.out) == (0, "")
    assert cli("list", "sise").err.startswith("process 1: error: ")


def test_no_colours_outside_a_terminal(tmp_path):
    assert "\x1b" not in process("list", "size", cwd=tmp_path).out


def test_no_colours_where_they_are_not_wanted():
    coloured = re.compile(rb"\x1b\[(3\d|9\d|38)")
    command = ("list", "size")
    assert not coloured.search(in_terminal(*command, NO_COLOR="1"))


def in_terminal(*words: str, **env: str) -> bytes:
    """What a command writes to a terminal."""
    main_end, its_end = os.openpty()
    command = [sys.executable, "-m", "argmind", *words]
    env = {**os.environ, "TERM": "xterm-256color", **env}
    child = subprocess.Popen(command, stdout=its_end, stderr=subprocess.DEVNULL, env=env)
    os.close(its_end)
    written = b""
    while True:
        try:
            block = os.read(main_end, 4096)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        written += block
    assert child.wait(timeout=60) == 0
    os.close(main_end)
    return written


def test_json_survives_stray_prints(monkeypatch):
    def talkative(*_):
        print("something a library had to say")
        return []

    monkeypatch.setattr(list_verb, "_row", talkative)
    done = cli("list", "recipe", "--json")
    assert json.loads(done.out)["kind"] == "recipe"
    assert "something a library had to say" in done.err
