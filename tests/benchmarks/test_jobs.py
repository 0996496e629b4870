"""Jobs as processes: their order, what is kept, and what becomes of failures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest

from argmind.eval.results import read_results

from .conftest import FOLDER

#: Writes down every job it does; job "third" fails while a file says so.
SCRIPT = f"""
import sys
from pathlib import Path
sys.path.insert(0, {FOLDER!r})
from jobs import Job, Script, carry_out, options, over

here = Path(__file__).parent

def work(name, seed):
    with (here / "done").open("a") as file:
        file.write(f"{{name}} {{seed}}\\n")
    if name == "third" and (here / "broken").exists():
        raise ValueError("this one cannot be done")
    print("something in between")
    return {{"x": seed + 0.5, "none": float("nan")}}

def figures(rows):
    for name, runs in rows.items():
        yield name, over(runs, lambda row: row["x"]), "1"
        yield f"{{name}}_none", over(runs, lambda row: row["none"]), "1"
        yield f"{{name}}_list", [over(runs, lambda row: row["x"])], "1"

jobs = [Job("second", seed, (("first", seed),)) for seed in (0, 1)]
jobs += [Job("first", 0), Job("first", 1), Job("third", 0), Job("last", 0, (("third", 0),))]
arguments = options("Do nothing.", "none.json").parse_args()
carry_out(arguments, Script(jobs, work, figures, lambda: None))
"""


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "script.py", "--out", "found/results.json", "--per-gpu", "2", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_jobs_wait_for_one_another_and_a_stopped_script_goes_on(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "broken").touch()
    assert "first seed 0: not done, for want of time" in run(tmp_path, "--minutes", "0")
    assert not (tmp_path / "done").exists()
    told = run(tmp_path)
    done = (tmp_path / "done").read_text().splitlines()
    assert sorted(done) == ["first 0", "first 1", "second 0", "second 1", "third 0"]
    for seed in (0, 1):
        assert done.index(f"first {seed}") < done.index(f"second {seed}")
    assert "this one cannot be done" in told
    assert "last seed 0: not done" in told
    (tmp_path / "broken").unlink()
    run(tmp_path)
    again = (tmp_path / "done").read_text().splitlines()[len(done) :]
    assert again == ["third 0", "last 0"]
    results = read_results(tmp_path / "found" / "results.json")
    first = results.figures["first"]
    assert (first.value, first.low, first.high) == (1.0, 0.5, 1.5)
    assert results.figures["first_none"].value is None
    assert results.figures["last_list"].value == (0.5,)
    kept = (tmp_path / "found" / "results.runs").read_text().splitlines()
    assert len({(row["job"], row["seed"]) for row in map(json.loads, kept)}) == len(kept) == 6


@pytest.mark.parametrize(
    ("visible", "count", "found"),
    [("", 0, [""]), ("", 2, ["0", "1"]), ("3,5", 2, ["3", "5"]), ("3,5,9", 2, ["3", "5"])],
)
def test_only_the_gpus_that_may_be_used(
    visible: str, count: int, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import jobs

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert jobs._gpus() == found


def test_one_is_alone_on_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs import alone

    out, order = tmp_path / "r.json", Queue()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")

    def other() -> None:
        order.put("waits")
        with alone(out):
            order.put("is in")

    thread = Thread(target=other)
    with alone(out):
        thread.start()
        assert order.get(timeout=10) == "waits"
        with pytest.raises(Empty):
            order.get(timeout=0.2)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        with alone(out):  # another GPU is free
            pass
    assert order.get(timeout=10) == "is in"
    thread.join()
