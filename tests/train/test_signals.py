"""The first signal saves and ends well, the second quits at once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from argmind.train.checkpoint import CheckpointStore
from argmind.train.interrupts import SAME_WISH_S, Interrupts

from . import toy


def start(run_dir: Path, **job: object) -> subprocess.Popen:
    job = {"run_dir": str(run_dir), "steps": 10**6, "checkpoint_every": 0, "eval_every": 0, **job}
    command = [sys.executable, str(Path(toy.__file__)), json.dumps(job)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_steps(run_dir: Path, lines: int) -> None:
    metrics, limit_s = run_dir / "metrics.jsonl", time.monotonic() + 60
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < lines:
        assert time.monotonic() < limit_s
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_saves_the_last_step_done(tmp_path, number):
    child = start(tmp_path)
    wait_for_steps(tmp_path, 5)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    said = json.loads(out)
    last_line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert said == {"steps": last_line["step"], "reason": "interrupted"}
    assert CheckpointStore(tmp_path / "checkpoints").latest().step == said["steps"]
    assert f"argmind train --resume {tmp_path}" in err


def test_second_signal_quits_at_once(tmp_path):
    child = start(tmp_path, delay_s=30)
    wait_for_lock(tmp_path, child.pid)
    child.send_signal(signal.SIGTERM)
    time.sleep(SAME_WISH_S + 0.3)
    assert child.poll() is None
    begin_s = time.monotonic()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - begin_s < 5


def wait_for_lock(run_dir: Path, pid: int) -> None:
    lock, limit_s = run_dir / ".lock", time.monotonic() + 60
    while not lock.exists() or lock.read_text() != f"{pid}\n":
        assert time.monotonic() < limit_s
        time.sleep(0.01)


def test_handlers_are_restored_and_a_doubled_signal_counts_once():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.requested
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with interrupts:
        assert not interrupts.requested


def test_outside_the_main_thread_only_requests_work():
    seen = []

    def work() -> None:
        with Interrupts() as interrupts:
            interrupts.request()
            seen.append(interrupts.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
