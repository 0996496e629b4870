"""The results layout: strict to read, whole or absent when written."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest

from argmind.errors import UserError
from argmind.eval import provenance
from argmind.eval.results import (
    Figure,
    Results,
    git_commit,
    machine_description,
    read_results,
    write_atomically,
    write_results,
)
from argmind.eval.statistics import Interval


def results(**changes) -> Results:
    parts = {
        "command": "argmind eval runs/a",
        "commit": "abc",
        "machine": {"cpu": "x", "cores": 2},
        "seeds": (1, 2, 3),
        "figures": {
            "tpp_nats": Figure(value=3.2, low=3.1, high=3.3, unit="nats/token"),
            "by_step": Figure(value=[3.0, None], unit="nats/token", reason="step 2 diverged"),
            "trained_steps": Figure(value=3, unit="steps"),
        },
    }
    return Results(**{**parts, **changes})


def plain(**changes) -> dict:
    return {**results().to_plain(), **changes}


def test_written_and_read_again(tmp_path):
    path = tmp_path / "new" / "results.json"
    written = results(extra={"parameters": {"ebt": 10}})
    write_results(path, written)
    assert read_results(path) == written
    assert list(path.parent.iterdir()) == [path]


def test_the_layout(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, results())
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found) == ["command", "commit", "machine", "seeds", "figures"]
    expected = {"value": 3.2, "low": 3.1, "high": 3.3, "unit": "nats/token"}
    assert found["figures"]["tpp_nats"] == expected
    assert found["figures"]["trained_steps"]["value"] == 3
    assert isinstance(found["figures"]["trained_steps"]["value"], int)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("name", ["value", "low", "high"])
def test_a_figure_refuses_what_is_not_finite(bad, name):
    numbers = {"value": 1.0, "low": 0.0, "high": 2.0, name: bad}
    with pytest.raises(ValueError, match=f"{name} must be finite"):
        Figure(**numbers, unit="1")
    with pytest.raises(ValueError, match="must be finite"):
        Figure(**{**numbers, name: [1.0, bad]}, unit="1")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"value": 1.0, "unit": " "}, "unit"),
        ({"value": None, "unit": "1"}, "reason"),
        ({"value": [1.0, None], "unit": "1"}, "reason"),
        ({"value": 1.0, "unit": "1", "reason": 5}, "reason"),
        ({"value": True, "unit": "1"}, "must be a number"),
        ({"value": "3", "unit": "1"}, "must be a number"),
        ({"value": 1.0, "low": 0.5, "unit": "1"}, "come together"),
        ({"value": 1.0, "low": 2.0, "high": 1.0, "unit": "1"}, "above high"),
        ({"value": [1.0, 2.0], "low": [0.0], "high": [3.0], "unit": "1"}, "length"),
    ],
)
def test_a_figure_refuses_what_breaks_the_layout(parts, message):
    with pytest.raises(ValueError, match=message):
        Figure(**parts)


def test_a_measurement_that_failed_becomes_null_with_a_reason():
    figure = Figure.of(Interval(math.nan), "nats/token")
    assert (figure.value, figure.low, figure.high) == (None, None, None)
    assert "nan" in figure.reason
    assert Figure.of(math.inf, "ms", "the clock stopped").reason == "the clock stopped"
    assert "NaN" not in json.dumps(figure.to_plain())


def test_a_series_has_ranges_only_if_all_have():
    whole = Figure.series([Interval(1.0, 0.0, 2.0), Interval(2.0, 1.0, 3.0)], "nats/token")
    assert (whole.value, whole.low, whole.high) == ((1.0, 2.0), (0.0, 1.0), (2.0, 3.0))
    broken = Figure.series([Interval(1.0, 0.0, 2.0), Interval(math.nan)], "nats/token")
    assert (broken.value, broken.low) == ((1.0, None), None)
    assert broken.reason


@pytest.mark.parametrize("key", ["command", "commit", "machine", "seeds", "figures"])
def test_a_missing_key_is_named(key):
    data = plain()
    del data[key]
    with pytest.raises(UserError, match=f"missing {key}"):
        Results.from_plain(data)


@pytest.mark.parametrize("key", ["value", "low", "high", "unit"])
def test_a_missing_key_of_a_figure_is_named(key):
    data = plain()
    del data["figures"]["tpp_nats"][key]
    with pytest.raises(UserError, match=rf"figures.tpp_nats: missing {key}"):
        Results.from_plain(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": " "}, "command must be text"),
        ({"machine": {}}, "machine"),
        ({"machine": "a fast one"}, "machine"),
        ({"seeds": [1.5]}, "seeds"),
        ({"seeds": [True]}, "seeds"),
        ({"seeds": 1}, "seeds"),
        ({"figures": []}, "figures"),
        ({"figures": {"a": 3.0}}, "figures.a"),
        ({"more": math.nan}, "JSON"),
        ({"machine": {"load": math.inf}}, "JSON"),
    ],
)
def test_what_breaks_the_layout_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Results.from_plain(plain(**changes))


def test_a_misspelt_key_of_a_figure_gets_a_hint():
    data = plain()
    data["figures"]["tpp_nats"]["reasons"] = "x"
    with pytest.raises(UserError, match="Did you mean 'reason'"):
        Results.from_plain(data)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"figures": {"a": NaN}}', "\udcff"])
def test_a_file_that_is_no_results_file(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_results(path)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_results(tmp_path / "none.json")


def test_extra_keys_may_not_hide_required_ones():
    with pytest.raises(ValueError, match="seeds"):
        results(extra={"seeds": [9]})


def test_nan_in_an_extra_key_writes_nothing(tmp_path):
    path = tmp_path / "deep" / "results.json"
    with pytest.raises(UserError, match="JSON"):
        write_results(path, results(extra={"x": math.nan}))
    assert not path.parent.exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot write"):
        write_results(tmp_path / "file" / "results.json", results())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, call):
    path = tmp_path / "results.json"
    path.write_text("old")

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserError, match=r"No space left on device.*nothing was changed"):
        write_results(path, results())
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_while_writing_leaves_no_litter(tmp_path, monkeypatch):
    def stop(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.html", "text")
    assert list(tmp_path.iterdir()) == []


def test_others_may_read_the_file_as_any_other_file(tmp_path):
    write_atomically(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_the_machine_says_what_it_is_and_not_whose():
    machine = machine_description()
    text = json.dumps(machine, allow_nan=False)
    assert {"cpu", "cores", "ram_gib", "gpus", "python", "torch"} <= set(machine)
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text


def test_the_commit_is_a_commit_or_unknown():
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+dirty)?", git_commit())


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository that holds a copy of the module, and its way to run git."""
    package = tmp_path / "src" / "argmind" / "eval"
    package.mkdir(parents=True)
    (package / "provenance.py").write_text("")
    (package.parent / "__init__.py").write_text("")
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    return tmp_path, git


def test_a_clean_checkout_a_changed_one_and_a_foreign_one(checkout):
    root, git = checkout
    assert git_commit() == "unknown"  # installed inside somebody's repository
    git("add", ".")
    git("commit", "-m", "first")
    clean = git_commit()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    (root / "docs").mkdir()
    (root / "docs" / "text.json").write_text("{}")
    assert git_commit() == clean
    (root / "src" / "argmind" / "new.py").write_text("x = 1")
    assert git_commit() == f"{clean}+dirty"


def test_no_git_at_all(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit() == "unknown"
