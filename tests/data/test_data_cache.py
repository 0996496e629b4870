"""The token cache: found again, made again when anything changes, never half-written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argmind.data import cache as cache_module
from argmind.data.cache import cached_tokens
from argmind.data.sources import open_source
from argmind.data.storage import cache_folder, locked, replacing
from argmind.data.tokenizers import open_tokenizer
from argmind.errors import UserError

TEXTS = ["one story", "zwei ä€😀", "three"]
BYTE = open_tokenizer("byte")
EXPECTED = b"\0".join(text.encode() for text in [*TEXTS, ""])


def as_bytes(tokens):
    return bytes(np.where(tokens == BYTE.end_id, 0, tokens).astype(np.uint8))


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def refuse_reading(monkeypatch, source):
    monkeypatch.setattr(source, "pieces", lambda: pytest.fail("the text was read again"))


def test_tokens_of_documents(cache):
    made = cached_tokens(open_source(TEXTS), BYTE)
    assert as_bytes(made.tokens) == EXPECTED
    assert made.documents == 3
    assert made.tokens.dtype == np.uint16
    assert made.path.parent == cache
    with pytest.raises(ValueError, match="read-only"):
        made.tokens[0] = 1


def test_the_second_time_nothing_is_read(monkeypatch):
    first = cached_tokens(open_source(TEXTS), BYTE)
    source = open_source(TEXTS)
    refuse_reading(monkeypatch, source)
    second = cached_tokens(source, BYTE, verify=True)
    assert second.fingerprint == first.fingerprint
    assert np.array_equal(first.tokens, second.tokens)


def test_a_change_of_text_tokenizer_or_limit_makes_another(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("first text")
    made = [cached_tokens(open_source(str(path)), BYTE)]
    path.write_text("other text")
    source = open_source(str(path))
    made += [cached_tokens(source, BYTE), cached_tokens(source, BYTE, limit_tokens=5)]
    made += [cached_tokens(source, open_tokenizer("bpe:258", source))]
    assert len({item.path for item in made}) == 4
    assert as_bytes(made[1].tokens) == b"other text\0"


def test_large_vocabularies_take_four_bytes(monkeypatch):
    monkeypatch.setattr(type(BYTE), "vocab_size", (1 << 16) + 1)
    made = cached_tokens(open_source(TEXTS), BYTE)
    assert made.tokens.dtype == np.uint32
    assert as_bytes(made.tokens) == EXPECTED


@pytest.mark.parametrize("limit", [1, 10, len(EXPECTED), 10**6])
def test_limit(monkeypatch, limit):
    monkeypatch.setattr(cache_module, "_BATCH_CHARS", 1)
    made = cached_tokens(open_source(TEXTS), BYTE, limit_tokens=limit)
    assert as_bytes(made.tokens) == EXPECTED[:limit]


def test_a_limit_ends_the_reading_of_an_endless_source(monkeypatch):
    monkeypatch.setattr(cache_module, "_BATCH_CHARS", 10)
    source = open_source(TEXTS)

    def endless():
        while True:
            yield from open_source(TEXTS).pieces()

    monkeypatch.setattr(source, "pieces", endless)
    assert len(cached_tokens(source, BYTE, limit_tokens=1000).tokens) == 1000


def test_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_BATCH_CHARS", 4)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("some text")
    seen = []
    cached_tokens(
        open_source(str(tmp_path)), BYTE, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(9 * count, 45) for count in range(1, 6)]


# Damage ---------------------------------------------------------------------


@settings(max_examples=80)
@given(data=st.data())
def test_any_damaged_byte_is_noticed_and_mended(data):
    source = open_source(TEXTS)
    made = cached_tokens(source, BYTE)
    victim = data.draw(st.sampled_from([made.path, made.path.with_suffix(".json")]))
    whole = victim.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        victim.write_bytes(whole[:place])
    else:
        victim.write_bytes(
            whole[:place]
            + bytes([whole[place] ^ data.draw(st.integers(1, 255))])
            + whole[place + 1 :]
        )
    again = cached_tokens(source, BYTE)
    assert as_bytes(again.tokens) == EXPECTED
    assert again.documents == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"tokens": 3, "dtype": "nonsense"}'])
def test_a_damaged_record_is_reported(caplog, damage):
    source = open_source(TEXTS)
    made = cached_tokens(source, BYTE)
    made.path.with_suffix(".json").write_bytes(damage)
    assert as_bytes(cached_tokens(source, BYTE).tokens) == EXPECTED
    assert "is damaged" in caplog.text


def test_large_files_are_digested_on_request_only(monkeypatch, caplog):
    monkeypatch.setattr("argmind.data.sealed.DIGEST_ALWAYS_BYTES", 0)
    source = open_source(TEXTS)
    made = cached_tokens(source, BYTE)
    raw = bytearray(made.path.read_bytes())
    raw[0] ^= 1
    made.path.write_bytes(raw)
    assert as_bytes(cached_tokens(source, BYTE).tokens) != EXPECTED
    assert as_bytes(cached_tokens(source, BYTE, verify=True).tokens) == EXPECTED
    assert "its digest is wrong" in caplog.text


def test_a_missing_half_is_made_again():
    source = open_source(TEXTS)
    for suffix in (".bin", ".json"):
        cached_tokens(source, BYTE).path.with_suffix(suffix).unlink()
        assert as_bytes(cached_tokens(source, BYTE).tokens) == EXPECTED


# Writing --------------------------------------------------------------------


class FullDisk:
    """A file that has room for some bytes only."""

    def __init__(self, handle, room):
        self.handle, self.room = handle, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.handle.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.handle.close()

    def __getattr__(self, name):
        return getattr(self.handle, name)


@pytest.mark.parametrize("room", [0, 20, 2 * len(TEXTS[0]) + 60])
def test_a_full_disk_leaves_nothing_half(cache, monkeypatch, room):
    monkeypatch.setattr(cache_module, "_BATCH_CHARS", 4)
    real = Path.open

    def open_full(path, mode="r", *rest, **named):
        handle = real(path, mode, *rest, **named)
        return FullDisk(handle, room) if "x" in mode else handle

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        with pytest.raises(UserError, match=r"disk full .*ARGMIND_CACHE"):
            cached_tokens(open_source(TEXTS), BYTE)
    assert not [name for name in files(cache) if not name.endswith(".bin")]
    assert as_bytes(cached_tokens(open_source(TEXTS), BYTE).tokens) == EXPECTED


def test_a_failing_fsync_leaves_nothing(cache, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="disk full"):
            cached_tokens(open_source(TEXTS), BYTE)
    assert files(cache) == []


def test_an_unreadable_text_leaves_nothing(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(cache_module, "_BATCH_CHARS", 4)
    (tmp_path / "a.jsonl").write_text('{"text": "a good line"}\n{"text": ')
    with pytest.raises(UserError, match=r"a\.jsonl:2"):
        cached_tokens(open_source(str(tmp_path / "a.jsonl")), BYTE)
    assert files(cache) == []


def test_text_that_is_none(tmp_path, cache):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(UserError, match="there is no text in it"):
        cached_tokens(open_source(str(tmp_path / "a.jsonl")), BYTE)
    assert files(cache) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write .*ARGMIND_CACHE"):
        cached_tokens(open_source(TEXTS), BYTE, folder=tmp_path / "file" / "cache")


def test_a_replaced_file_is_old_or_new(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def interrupted():
        with replacing(path) as handle:
            handle.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["a"]


def test_leftovers_of_a_killed_writer_are_removed():
    path = cached_tokens(open_source(TEXTS), BYTE).path
    path.unlink()
    leftover = path.with_name(f"{path.name}.123-abc.tmp")
    leftover.write_bytes(b"half")
    cached_tokens(open_source(TEXTS), BYTE)
    assert not leftover.exists()


def test_where_caches_lie(tmp_path, monkeypatch):
    assert cache_folder(tmp_path) == tmp_path
    monkeypatch.setenv("ARGMIND_CACHE", "~/x")
    assert cache_folder() == Path.home() / "x"
    monkeypatch.delenv("ARGMIND_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "argmind"


def test_without_locks_every_process_makes_its_own(cache, monkeypatch):
    def unsupported(*_args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    other = cache / "tokens.bin.999-def.tmp"
    other.touch()
    with locked(cache / "tokens.bin"):
        assert other.exists()  # it may be in use
    assert as_bytes(cached_tokens(open_source(TEXTS), BYTE).tokens) == EXPECTED


PROCESS = """
import sys, time
from argmind.data.cache import cached_tokens
from argmind.data.sources import open_source, texts
from argmind.data.tokenizers import open_tokenizer

class Slow(texts.TextsSource):
    def pieces(self):
        print("reading", flush=True)
        time.sleep(0.3)
        return super().pieces()

tokenizer = open_tokenizer("byte")
print("ready", flush=True)
sys.stdin.readline()
made = cached_tokens(Slow(["text %d" % i for i in range(1000)]), tokenizer, verify=True)
print(made.fingerprint, len(made.tokens), int(made.tokens.sum()))
"""


def test_processes_that_start_at_once_share_one_cache(cache):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([sys.executable, "-c", PROCESS], **pipes) for _ in range(3)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate()[0].splitlines() for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len({answer[-1] for answer in answers}) == 1
    assert sum("reading" in answer for answer in answers) == 1
    assert len(files(cache)) == 2


def test_a_writer_that_is_killed_leaves_the_others_going(cache):
    """A process killed while it holds the lock; the next one makes the cache."""
    code = PROCESS.replace("time.sleep(0.3)", "time.sleep(60)")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    victim = subprocess.Popen([sys.executable, "-c", code], **pipes)
    victim.stdin.write("go\n")
    victim.stdin.flush()
    assert victim.stdout.readline() == "ready\n"
    assert victim.stdout.readline() == "reading\n"
    victim.kill()
    victim.wait()
    assert any(name.endswith(".tmp") for name in files(cache))
    made = cached_tokens(open_source([f"text {i}" for i in range(1000)]), BYTE)
    assert files(cache) == sorted([made.path.name, made.path.with_suffix(".json").name])
    assert json.loads(made.path.with_suffix(".json").read_text())["record"]["documents"] == 1000
