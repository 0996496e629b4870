"""Checkpoints are whole or do not exist; any damage is noticed; full disks lose nothing."""

import errno
import json
import re
import resource
import shutil
from contextlib import contextmanager

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from argmind.errors import CorruptCheckpoint, UserError
from argmind.train import checkpoint as checkpoint_module
from argmind.train.checkpoint import CheckpointStore, load_weights, verify, weights_of
from argmind.train.metrics import JsonLines, lines_until

TENSORS = {"model": {"weight": torch.arange(6.0).view(2, 3)}, "optimizer": {"m": torch.ones(2)}}


def save(store, step, tensors=TENSORS):
    with store.draft(step) as draft:
        for name, values in tensors.items():
            draft.write(name, values)
        return draft.commit({"step": step, "note": "é"})


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints")


def test_what_is_saved_is_loaded(store):
    folder = save(store, 3)
    found = store.latest()
    assert (found.folder, found.step, found.state) == (folder, 3, {"step": 3, "note": "é"})
    assert found.has("model")
    assert not found.has("ema")
    assert torch.equal(found.tensors("model")["weight"], TENSORS["model"]["weight"])
    assert found.notes == ()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A store with two good checkpoints."""
    store = CheckpointStore(tmp_path_factory.mktemp("pair") / "checkpoints")
    save(store, 1)
    save(store, 2)
    return store


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_flipped_or_lost_byte_is_noticed(pair, data):
    folder = pair.folder / "step-00000002"
    path = data.draw(st.sampled_from(sorted(folder.iterdir())), label="file")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1), label="byte")
    if data.draw(st.booleans(), label="truncate"):
        damaged = whole[:place]
    else:
        bit = 1 << data.draw(st.integers(0, 7), label="bit")
        damaged = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
    path.write_bytes(damaged)
    try:
        with pytest.raises(CorruptCheckpoint):
            verify(folder)
        found = pair.latest()
        assert found.step == 1
        assert len(found.notes) == 1
        assert "step 2 is damaged" in found.notes[0]
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", ["COMMIT.json", "state.json", "model.safetensors"])
def test_a_missing_file_is_noticed(store, name):
    save(store, 1)
    (save(store, 2) / name).unlink()
    assert store.latest().step == 1


def test_a_renamed_checkpoint_is_noticed(store):
    save(store, 1).rename(store.folder / "step-00000009")
    with pytest.raises(CorruptCheckpoint, match="was renamed"):
        store.latest()


def test_nothing_good_left(store):
    with pytest.raises(UserError, match="no committed checkpoint"):
        store.latest()
    for step in (1, 2):
        (save(store, step) / "state.json").unlink()
    with pytest.raises(CorruptCheckpoint, match=r"every checkpoint .*\n.*step 2.*\n.*step 1"):
        store.latest()


def test_newer_schema_is_refused_with_advice_and_not_passed_over(store, monkeypatch):
    save(store, 1)
    monkeypatch.setattr(checkpoint_module, "SCHEMA", 2)
    save(store, 2)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"newer argmind.*pip install -U argmind") as caught:
        store.latest()
    assert not isinstance(caught.value, CorruptCheckpoint)


def test_best_is_preferred_when_asked_for(store):
    for step in (1, 2, 3):
        save(store, step)
    assert store.latest().step == 3
    assert store.latest(prefer=1).step == 1
    (store.folder / "step-00000001/state.json").unlink()
    assert store.latest(prefer=1).step == 3


def test_keeps_the_newest_and_the_best(store):
    for step in range(1, 7):
        save(store, step)
        store.keep_only(2, also=[3])
    assert store.steps() == [6, 5, 3]
    assert {path.name for path in store.folder.iterdir()} == {
        "step-00000003",
        "step-00000005",
        "step-00000006",
    }


def test_drafts_of_the_dead_are_cleaned(store):
    save(store, 1)
    store.draft(2, writer=99999).write("model", TENSORS["model"])
    assert (store.folder / "step-00000002.tmp-99999").is_dir()
    assert store.steps() == [1]
    store.clean()
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]


def test_no_commit_record_before_every_other_file_is_synced(store, monkeypatch):
    written = []
    monkeypatch.setattr(
        checkpoint_module,
        "write_synced",
        lambda path, content: (written.append(path.name), path.write_bytes(content)),
    )
    save(store, 1)
    assert written == ["model.safetensors", "optimizer.safetensors", "state.json", "COMMIT.json"]


# ------------------------------------------------------------------ full and read-only disks


@contextmanager
def largest_file(size_bytes):
    """The operating system refuses files larger than this, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_only_step_1_is_left(store):
    assert [path.name for path in store.folder.iterdir()] == ["step-00000001"]
    assert store.latest().step == 1


def test_refused_by_the_operating_system(store):
    save(store, 1)
    with largest_file(1000), pytest.raises(UserError, match=r"last good checkpoint is .*00000001"):
        save(store, 2, {"model": {"weight": torch.zeros(1000)}})
    assert_only_step_1_is_left(store)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("file", ["model", "optimizer", "state", "COMMIT"])
def test_no_space_or_right_at_any_file(store, monkeypatch, code, file):
    save(store, 1)
    write = checkpoint_module.write_synced

    def failing(path, content):
        if path.stem == file:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(code, "injected")
        write(path, content)

    monkeypatch.setattr(checkpoint_module, "write_synced", failing)
    advice = "Free some space" if code in (errno.ENOSPC, errno.EDQUOT) else "folder"
    with pytest.raises(UserError, match=f"cannot write checkpoint .*injected.*{advice}"):
        save(store, 2)
    assert_only_step_1_is_left(store)


def test_failing_before_the_rename_leaves_nothing(store, monkeypatch):
    save(store, 1)

    def failing(_folder):
        raise OSError(errno.EIO, "injected")

    monkeypatch.setattr(checkpoint_module, "sync_folder", failing)
    with pytest.raises(UserError, match="injected"):
        save(store, 2)
    assert_only_step_1_is_left(store)


def test_a_metrics_line_that_does_not_fit_is_said(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.write({"step": 1})
    with largest_file(20), pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl"):
        lines.write({"step": 2, "loss": 0.123456789})
    lines.close()
    assert lines_until(tmp_path / "metrics.jsonl", 9) == (12, {"step": 1})


# ------------------------------------------------------------------ weights


def test_tied_weights_are_saved_once_and_loaded_tied():
    tied = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    tied["head"].weight = tied["embed"].weight
    saved = {name: tensor.clone() for name, tensor in weights_of(tied).items()}
    assert list(saved) == ["embed.weight"]
    with torch.no_grad():
        tied["embed"].weight.zero_()
    load_weights(tied, saved)
    assert torch.equal(tied["head"].weight, saved["embed.weight"])


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_weights_that_do_not_fit_are_refused_before_any_is_loaded(change):
    model = nn.Linear(2, 3)
    given_tensors = {name: torch.zeros_like(tensor) for name, tensor in weights_of(model).items()}
    if change == "missing":
        del given_tensors["bias"]
    elif change == "unexpected":
        given_tensors["bias_2"] = torch.zeros(3)
    else:
        given_tensors["bias"] = torch.zeros(4)
    before = model.weight.detach().clone()
    with pytest.raises(UserError, match=r"1 tensors differ, the first is 'bias"):
        load_weights(model, given_tensors)
    assert torch.equal(model.weight, before)


def test_a_pickle_in_the_folder_is_never_opened(store, tmp_path):
    folder = save(store, 1)
    trap = b"cos\nmkdir\n(V" + str(tmp_path / "sprung").encode() + b"\ntR."
    (folder / "model.pt").write_bytes(trap)
    found = store.latest()
    found.tensors("model")
    shutil.copy(folder / "model.pt", folder / "model.safetensors")
    with pytest.raises(CorruptCheckpoint):
        store.latest()
    assert not (tmp_path / "sprung").exists()


def test_commit_record_lists_size_and_digest_of_every_file(store):
    folder = save(store, 1)
    record = json.loads((folder / "COMMIT.json").read_text())
    assert record["schema"] == 1
    assert set(record["files"]) == {"model.safetensors", "optimizer.safetensors", "state.json"}
    for name, entry in record["files"].items():
        assert entry["bytes"] == (folder / name).stat().st_size
        assert re.fullmatch("[0-9a-f]{64}", entry["blake2b"])
