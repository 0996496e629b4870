"""A public checkpoint becomes a run that every verb takes."""

import json

import pytest

from published.make_checkpoint import s1_flags, write_checkpoint

from .conftest import cli


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "public.ckpt"
    write_checkpoint(path, s1_flags(), vocabulary=260, global_step=120)
    return path


def test_converted_runs_are_runs(checkpoint, tmp_path):
    done = cli("convert", checkpoint, "--out", "run", "--tokenizer", "byte", "--json")
    assert done.code == 0, done.err
    assert done.json["vocab_size"] == 260
    assert any("never written" in note for note in done.json["notes"])
    (tmp_path / "text.txt").write_text("plain words " * 40)
    found = cli("eval", "run", "--data", "text.txt", "--limit", 4, "--json").json
    assert found["step"] == 120
    assert found["rows"][0]["steps"] == 2
    said = cli("generate", "run", "--prompt", "ab", "--max-tokens", 8, "--json").json
    assert all(token < 257 for token in said["continuations"][0]["tokens"])
    assert cli("think", "run", "--prompt", "ab", "--steps", 3, "--json").code == 0


def test_converted_runs_have_no_text_of_their_own_and_are_not_resumed(checkpoint):
    assert cli("convert", checkpoint, "--out", "run", "--tokenizer", "byte").code == 0
    done = cli("eval", "run")
    assert done.code == 2
    assert "--data" in done.err
    done = cli("train", "--resume", "run", "--steps", 200)
    assert done.code == 2
    assert "the data is not that of the run" in done.err


def test_a_tokenizer_that_is_too_large_is_refused(tmp_path):
    write_checkpoint(tmp_path / "small.ckpt", s1_flags(), vocabulary=200)
    done = cli("convert", "small.ckpt", "--out", "run", "--tokenizer", "byte")
    assert done.code == 2
    assert "the tokenizer has 257 ids and the checkpoint 200" in done.err
    assert not (tmp_path / "run").exists()


def test_a_run_folder_is_not_overwritten(checkpoint, ebt):
    before = json.loads((ebt / "recipe.json").read_text())
    done = cli("convert", checkpoint, "--out", ebt, "--tokenizer", "byte")
    assert done.code == 2
    assert json.loads((ebt / "recipe.json").read_text()) == before
