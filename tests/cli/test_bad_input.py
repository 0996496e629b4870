"""Everything a user can get wrong: a message that helps, exit code 2, and nothing written."""

import errno
import fcntl
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from argmind import registry
from argmind.config import PartConfig
from argmind.nn.attention.reference import ReferenceAttention

from .conftest import TINY, cli, process


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(*words: object, cwd: Path) -> str:
    """The message of a command that must be refused without a trace."""
    before = everything_below(cwd)
    done = cli(*words)
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert everything_below(cwd) == before
    return done.err


FILES = {
    "empty.txt": b"",
    "short.txt": b"ten bytes.",
    "binary.txt": b"text\x00\x01\x02 and then none" * 100,
    "latin.txt": "Grüße ".encode("latin-1") * 100,
    "records.jsonl": b'{"body": "some text", "title": "a"}\n' * 100,
}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("shrot.txt", "no such file: shrot.txt. Did you mean 'short.txt'?"),
        ("nowhere/at.txt", "no such file: nowhere/at.txt (there is no nowhere)"),
        ("*.csv", "no file matches '*.csv'"),
        ("empty.txt", "empty.txt is an empty file"),
        ("short.txt", "short.txt is shorter than one context: 11 tokens"),
        ("binary.txt", "binary.txt: not a text file (a zero byte at byte 4)"),
        ("latin.txt", "not a text file (invalid UTF-8 at byte 2)"),
        ("records.jsonl", "no field 'text'. Fields there: body, title. Choose one with --field."),
    ],
)
def test_data(data, said, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    assert said in refused("train", "text_ebt", "--data", data, cwd=tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a RECIPE"),
        (["text_ebd"], "unknown recipe 'text_ebd'. Did you mean 'text_ebt'?"),
        (["text_ebt", "--size", "smal"], "unknown size 'smal'. Did you mean 'small'?"),
        (["text_ebt", "--set", "thinking.setps=3"], "Did you mean 'thinking.steps'?"),
        (["text_ebt", "--set", "thinkin.steps=3"], "Did you mean 'thinking'?"),
        (["text_ebt", "--set", "thinking.steps"], "write name.of.option=value"),
        (["text_ebt", "--set", "thinking.steps=two"], "thinking.steps: expected int, got 'two'"),
        (["text_ebt", "--set", "thinking.steps=0"], "thinking: steps must be at least 1"),
        (["text_ebt", "--set", "predictor.space=daul"], "Did you mean 'dual'?"),
        (["text_ebt", "--tokenizer", "bite"], "Did you mean 'byte'?"),
        (["text_ebt", "--device", "gpu"], "unknown device 'gpu'"),
        (["--resume", "runs/none"], "there is no run folder runs/none"),
        (["text_ebt", "--resume", "runs/x"], "leave out recipe"),
        (["recipe.yaml"], "cannot read the recipe recipe.yaml: No such file"),
    ],
)
def test_train_options(words, said, tmp_path):
    assert said in refused("train", *words, cwd=tmp_path)


def test_as_a_process(tmp_path):
    done = process("train", "text_ebt", "--data", "absent.txt", "--out", "run", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no such file: absent.txt.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
@pytest.mark.parametrize("verb", ["train", "eval"])
def test_cuda_asked_for_and_absent(verb, ebt, tmp_path):
    what = "text_ebt" if verb == "train" else ebt
    said = refused(verb, what, "--device", "cuda", cwd=tmp_path)
    assert "sees no CUDA GPU" in said


def test_a_recipe_file_with_a_wrong_option(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nthinking: {stesp: 3}\n")
    said = refused("train", "mine.yaml", cwd=tmp_path)
    assert "mine.yaml: unknown option 'thinking.stesp'. Did you mean 'thinking.steps'?" in said
    (tmp_path / "mine.yaml").write_text("name: [mine\n")
    assert "mine.yaml is not valid YAML" in refused("train", "mine.yaml", cwd=tmp_path)


def test_run_folder_that_holds_a_run(ebt, tmp_path):
    words = ["train", "text_ebt", "--data", "absent.txt", "--out", ebt]
    # Before the data is looked at: reading it may take hours.
    assert f"argmind train --resume {ebt}" in refused(*words, cwd=tmp_path)


def test_run_folder_in_use(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        said = refused("train", "text_ebt", "--out", run, "--set", *TINY, cwd=tmp_path)
    assert "is in use by process 4711" in said


@pytest.mark.parametrize("where", ["files", "checkpoint"])
def test_disk_full(where, tmp_path, monkeypatch):
    def full(path, content):
        path.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"argmind.train.{where}.write_synced", full)
    done = cli("train", "text_ebt", "--steps", 5, "--out", "run", "--set", *TINY)
    assert done.code == 2
    assert "No space left on device. Free some space on that disk." in done.err
    left = everything_below(tmp_path / "run")
    assert not [name for name in left if "step-" in name or "tmp" in name]
    assert ("recipe.json" in left) == (where == "checkpoint")


def test_a_setting_that_does_not_fit_leaves_the_run_as_it_was(ebt, tmp_path):
    before = (ebt / "recipe.json").read_bytes()
    words = ["train", "--resume", ebt, "--steps", 20]
    said = refused(*words, "--set", "predictor.body.transformer.hidden_dim=32", cwd=tmp_path)
    assert "does not fit this model" in said
    assert (ebt / "recipe.json").read_bytes() == before


def test_other_data_on_resume(ebt, tmp_path):
    (tmp_path / "other.txt").write_text("other words " * 2000)
    words = ["train", "--resume", ebt, "--steps", 20, "--data", "other.txt"]
    assert "the data is not that of the run" in refused(*words, cwd=tmp_path)


def test_a_part_without_second_derivatives(tmp_path, monkeypatch):
    registry.names("attention")  # loads the kind
    known = dict(registry._parts["attention"])
    monkeypatch.setitem(registry._parts, "attention", known)

    @registry.register("attention", "first_order")
    class FirstOrder(ReferenceAttention):
        """Fused, differentiated once."""

        second_order = "none"

        @dataclass(frozen=True, kw_only=True)
        class Config(PartConfig):
            pass

    chosen = "predictor.body.transformer.attention=first_order"
    said = refused("train", "text_ebt", "--data", "absent.txt", "--set", chosen, cwd=tmp_path)
    assert "attention 'first_order' has no second derivative" in said
    assert {
        "attention": "first_order",
        "summary": "Fused, differentiated once.",
        "second_order": "none",
    } in cli("list", "attention", "--json").json["entries"]
    # The rival is not differentiated twice and may use it.
    chosen = "predictor.transformer.attention=first_order"
    words = ["train", "text_transformer_pp", "--data", "absent.txt", "--set", chosen]
    assert "no such file" in refused(*words, cwd=tmp_path)


@pytest.mark.parametrize("verb", ["eval", "generate", "think"])
def test_no_steps_without_an_amortised_start(verb, noisy, tmp_path):
    prompt = [] if verb == "eval" else ["--prompt", "x"]
    steps = [2, 0] if verb == "eval" else [0]
    said = refused(verb, noisy, *prompt, "--steps", *steps, cwd=tmp_path)
    assert "this model starts from noise: ask for --steps 1 or more" in said


@pytest.mark.parametrize("verb", ["generate", "think"])
@pytest.mark.parametrize(
    ("prompt", "said"), [("", "the prompt is empty"), ("x" * 33, "the model's context of 32")]
)
def test_prompts(verb, prompt, said, ebt, tmp_path):
    assert said in refused(verb, ebt, "--prompt", prompt, cwd=tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval", "{ebt}", "--data", "absent.txt"], "no such file: absent.txt"),
        (["eval", "{ebt}", "--which", "7"], "step-00000007"),
        (["eval", "{ebt}", "--tolerance", "1"], "--tolerance means nothing to --stop fixed"),
        (["eval", "{ebt}", "--stop", "platau"], "Did you mean 'plateau'?"),
        (["eval", "{ebt}", "--stop", "plateau", "--tolerance", "-1"], "may not be negative"),
        (["eval", "absent"], "there is no run folder absent"),
        (["eval", "."], "is no run folder: it has no recipe.json"),
        (["generate", "{ebt}"], "there is no prompt to continue"),
        (["generate", "{ebt}", "--prompt-file", "absent"], "cannot read absent: No such file"),
        (["generate", "{ebt}", "--prompt", "x", "--temperature", "-1"], "may not be negative"),
        (["generate", "{ebt}", "--prompt", "x", "--top-p", "0"], "top-p must lie in (0, 1]"),
        (["compare", "{ebt}"], "compare needs at least two run folders"),
        (["list", "atention"], "Did you mean 'attention'?"),
        (["list", "sise"], "Did you mean 'size'?"),
        (["quickstart", "--domain", "txet"], "unknown quickstart 'txet'. Did you mean 'text'?"),
        (["doctor", "--device", "cpus"], "unknown device 'cpus'"),
        (["convert", "absent.ckpt", "--out", "run", "--tokenizer", "byte"], "no such file"),
    ],
)
def test_other_verbs(words, said, ebt, tmp_path):
    assert said in refused(*(word.format(ebt=ebt) for word in words), cwd=tmp_path)


def test_a_page_that_cannot_be_written(ebt, tmp_path):
    (tmp_path / "file").write_text("")
    words = ["think", ebt, "--prompt", "x", "--html", "file/page.html"]
    assert "cannot write file/page.html" in refused(*words, cwd=tmp_path)


def test_text_shorter_than_the_context_of_the_run(ebt, tmp_path):
    (tmp_path / "short.txt").write_text("ten bytes.")
    said = refused("eval", ebt, "--data", "short.txt", cwd=tmp_path)
    assert "short.txt is shorter than one context" in said
