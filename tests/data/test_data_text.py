"""Text as training data: pure batches, a split without leakage, refusals that say what to do."""

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from argmind import registry
from argmind.config import from_dict
from argmind.data import TextData, TrainingData, evaluation_windows, load_tokenizer, open_source
from argmind.data.tokenizers import open_tokenizer
from argmind.data.windows import every_start, split_starts
from argmind.errors import UserError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "text"


def numbered(tokens):
    """A text whose byte tokens tell where in the stream they stand."""
    return "".join(f"{number:07d}," for number in range(tokens // 8))


def text_data(tokens=4096, seed=0, **changes):
    settings = {"context_tokens": 16, "eval_fraction": 0.2, **changes}
    return TextData(TextData.Config(**settings), seed=seed, texts=[numbered(tokens)])


def all_training(data):
    return data.batch(0, data.samples_per_epoch)["tokens"]


def all_held_out(data):
    return torch.cat([batch["tokens"] for batch in data.evaluation(7)])


def as_text(data, row):
    return data.tokenizer.decode(row)


def test_it_is_training_data():
    assert registry.find("dataset", "text") is TextData
    assert isinstance(text_data(), TrainingData)


def test_a_batch_is_windows_of_the_text():
    data = text_data()
    batch = data.batch(3, 5)["tokens"]
    assert batch.dtype == torch.int64
    assert batch.shape == (5, 17)
    assert all(as_text(data, row) in numbered(4096) for row in batch)


@given(first=st.integers(0, 10_000), count=st.integers(0, 40), cut=st.integers(0, 40))
def test_a_batch_is_a_pure_function_of_its_place(first, count, cut):
    cut = min(cut, count)
    whole = text_data().batch(first, count)["tokens"]
    data = text_data()
    parts = [data.batch(first + cut, count - cut)["tokens"], data.batch(first, cut)["tokens"]]
    assert torch.equal(torch.cat(parts[::-1]), whole)


@pytest.mark.parametrize("world", range(1, 9))
@pytest.mark.parametrize("accumulate", [1, 3])
def test_any_layout_sees_every_window_once_an_epoch(world, accumulate):
    data = text_data()
    micro = 2
    batch = world * accumulate * micro
    steps = -(-data.samples_per_epoch // batch)
    rows = []
    for rank in range(world):
        for step in range(steps):
            for part in range(accumulate):
                first = step * batch + (part * world + rank) * micro
                rows += data.batch(first, micro)["tokens"].tolist()
    seen = Counter(map(tuple, rows))
    expected = Counter(map(tuple, all_training(data).tolist()))
    into_the_next = data.batch(data.samples_per_epoch, steps * batch - data.samples_per_epoch)
    expected.update(map(tuple, into_the_next["tokens"].tolist()))
    assert seen == expected
    assert len(set(expected)) == data.samples_per_epoch


def test_the_seed_orders_training_and_nothing_else():
    one, two = text_data(seed=1), text_data(seed=2)
    assert not torch.equal(all_training(one), all_training(two))
    assert torch.equal(all_training(one).sort(0).values, all_training(two).sort(0).values)
    assert torch.equal(all_held_out(one), all_held_out(two))
    assert one.fingerprint == two.fingerprint


def test_the_fingerprint_follows_what_is_seen():
    changes = [
        {},
        {"context_tokens": 17},
        {"eval_fraction": 0.3},
        {"eval_limit_tokens": 100},
        {"tokenizer": "bpe:260"},
        {"eval_source": "python"},
        {"limit_tokens": 4000},
        {"tokens": 4104},
    ]
    assert len({text_data(**change).fingerprint for change in changes}) == len(changes)


# The split ------------------------------------------------------------------


@given(
    context=st.integers(1, 40),
    extra=st.integers(0, 5000),
    share=st.floats(0.001, 0.999),
    limit=st.none() | st.integers(1, 3000),
)
def test_training_and_held_out_share_no_token(context, extra, share, limit):
    tokens = 2 * (context + 1) + extra
    limit = None if limit is None else limit + context
    training, held_out = split_starts(tokens, context, share, limit)
    assert len(training) >= 1
    assert len(held_out) >= 1
    covered = np.zeros(tokens, dtype=int)
    for start in held_out:
        covered[start : start + context + 1] = 1
    for start in training:
        assert not covered[start : start + context + 1].any()
        assert start + context + 1 <= tokens
    targets = np.concatenate([np.arange(s + 1, s + context + 1) for s in [*training, *held_out]])
    assert len(set(targets.tolist())) == len(targets)
    assert targets.max() < tokens
    assert len(held_out) * context <= max(context, tokens * share + context)
    if limit is not None:
        assert len(held_out) * context <= limit
    # Nothing much is lost: less than a window at each edge of a section.
    sections = 1 + int((np.diff(held_out) != context).sum())
    assert tokens - len(targets) <= sections * (context + 2) + context * bool(len(held_out) % 8)


def test_held_out_text_is_spread_over_the_source():
    training, held_out = split_starts(1_000_000, 100, 0.05)
    assert len(held_out) == pytest.approx(500, rel=0.1)
    parts = np.bincount(held_out * 10 // 1_000_000, minlength=10)
    assert parts.min() > 0.5 * parts.max()
    assert np.bincount(training * 10 // 1_000_000, minlength=10).min() > 900


def test_little_text_is_split_at_one_place():
    training, held_out = split_starts(1000, 99, 0.2)
    assert training.tolist() == [0, 99, 198, 297, 396, 495, 594, 693]
    assert held_out.tolist() == [801, 900]


def test_no_piece_of_held_out_text_is_trained_on():
    data = text_data(tokens=40_000)
    seen = {as_text(data, row)[i : i + 8] for row in all_training(data) for i in range(10)}
    held = [as_text(data, row)[i : i + 8] for row in all_held_out(data) for i in range(10)]
    assert len(held) > 1000
    assert not seen & set(held)  # every 8 characters of the text are unique


def test_evaluation_is_fixed_and_any_beginning_is_spread():
    data = text_data(tokens=400_000)
    whole = all_held_out(data)
    assert len(whole) == data.evaluation_samples
    for size in (1, 5, 10_000):
        batches = [batch["tokens"] for batch in data.evaluation(size)]
        assert all(len(batch) == size for batch in batches[:-1])
        assert torch.equal(torch.cat(batches), whole)
        limited = torch.cat([batch["tokens"] for batch in data.evaluation(size, limit=30)])
        assert torch.equal(limited, whole[:30])
    text = numbered(400_000)
    places = [text.index(as_text(data, row)) / len(text) for row in whole[:30]]
    assert min(places) < 0.2
    assert max(places) > 0.8


def test_bytes_per_token():
    data = TextData(
        TextData.Config(context_tokens=8, tokenizer="bpe:300"), seed=0, texts=["ab€ " * 500] * 9
    )
    targets = all_held_out(data)[:, 1:]
    assert data.tokenizer.end_id in all_training(data)
    expected = len(as_text(data, targets.ravel()).encode("utf-8", "replace")) / targets.numel()
    assert data.evaluation_bytes_per_token == pytest.approx(expected, rel=0.05)
    assert data.evaluation_bytes_per_token == data.tokenizer.byte_length(targets) / targets.numel()


# Other ways in --------------------------------------------------------------


def test_held_out_text_of_its_own(tmp_path):
    (tmp_path / "eval.txt").write_text("held out " * 50)
    data = text_data(eval_source=str(tmp_path / "eval.txt"))
    assert data.samples_per_epoch == 4096 // 16
    assert as_text(data, all_held_out(data)[0]) in "held out " * 50
    limited = text_data(eval_source=str(tmp_path / "eval.txt"), eval_limit_tokens=40)
    assert limited.evaluation_samples == 2


def test_evaluation_windows_of_other_text(tmp_path):
    tokenizer = open_tokenizer("byte")
    windows = evaluation_windows(open_source([numbered(800)]), tokenizer, 16)
    assert len(windows) == 800 // 16
    assert windows.bytes_per_token == 799 / 800
    with pytest.raises(UserError, match=r"shorter than one context: 5 tokens, .* at least 17"):
        evaluation_windows(open_source(["four"]), tokenizer, 16)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="2 tokens"):
        evaluation_windows(open_source(str(tmp_path / "a.txt")), tokenizer, 16)


def test_every_start_gives_each_target_once():
    assert every_start(0, 9, 4).tolist() == [0, 4]
    assert every_start(0, 8, 4).tolist() == [0]
    assert every_start(3, 7, 4).tolist() == []


def test_assets_let_a_loaded_run_read_its_input(tmp_path):
    data = text_data(tokenizer="bpe:270")
    data.save_assets(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.fingerprint == data.tokenizer.fingerprint
    again = TextData(data.config, seed=0, texts=[numbered(4096)], tokenizer=tokenizer)
    assert again.fingerprint == data.fingerprint
    assert torch.equal(again.batch(5, 9)["tokens"], data.batch(5, 9)["tokens"])


def test_the_quickstart_text():
    data = TextData(TextData.Config(), seed=0)
    assert data.samples_per_epoch > 1000
    assert data.tokenizer.vocab_size == 257


def test_json_lines_by_field_with_progress(tmp_path):
    lines = [json.dumps({"question": f"What is {i} plus {i}?", "text": ""}) for i in range(300)]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    seen = []
    data = TextData(
        TextData.Config(source=str(tmp_path / "*.gz"), field="question", context_tokens=32),
        seed=0,
        cache_dir=tmp_path / "cache",
        progress=lambda done, total: seen.append((done, total)),
    )
    size = (tmp_path / "a.jsonl.gz").stat().st_size
    assert seen[-1] == (size, size)
    assert (tmp_path / "cache").is_dir()
    assert "plus" in as_text(data, data.batch(0, 1)["tokens"][0])


def test_only_part_of_the_source_is_read():
    data = text_data(limit_tokens=800)
    places = [numbered(4096).index(as_text(data, row)) for row in all_training(data)]
    assert max(places) < 800


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data folder beside the checkout")
def test_real_files():
    data = TextData(
        TextData.Config(
            source=str(SHARED / "gsm8k-train.jsonl.gz"),
            eval_source=str(SHARED / "gsm8k-test.jsonl"),
            field="question",
            limit_tokens=100_000,
            eval_limit_tokens=10_000,
        ),
        seed=0,
    )
    assert data.samples_per_epoch == (100_000 - 1) // 256
    assert data.evaluation_samples == 39


# Bad input ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (10, "is shorter than one context: 11 tokens, .* at least 34 .* at most 4 tokens"),
        (30, "is too short: 31 tokens, .* needs at least 34 .* at most 14 tokens"),
        (1, "is shorter than one context: 2 tokens, .*Give more text.$"),
    ],
)
def test_text_too_short(tmp_path, length, message):
    (tmp_path / "short.txt").write_text("x" * length)
    config = TextData.Config(source=str(tmp_path / "short.txt"), context_tokens=16)
    with pytest.raises(UserError, match=rf"short\.txt {message}"):
        TextData(config, seed=0)


@pytest.mark.parametrize(("length", "context"), [(33, 16), (30, 14), (11, 5)])
def test_the_context_it_advises_is_accepted(length, context):
    config = TextData.Config(context_tokens=context)
    data = TextData(config, seed=0, texts=["x" * length])
    assert (data.samples_per_epoch, data.evaluation_samples) == (1, 1)


def test_too_short_beside_held_out_text_of_its_own():
    with pytest.raises(UserError, match=r"at least 17\. Give more text or set .* most 8 tokens"):
        text_data(tokens=8, eval_source="python")


def test_held_out_text_that_is_the_training_text(tmp_path):
    (tmp_path / "a.txt").write_text(numbered(800))
    (tmp_path / "copy.txt").write_text(numbered(800))
    config = TextData.Config(
        source=str(tmp_path / "a.txt"), eval_source=str(tmp_path / "copy.txt"), context_tokens=16
    )
    with pytest.raises(UserError, match="is the training text itself"):
        TextData(config, seed=0)


@pytest.mark.parametrize(
    "change",
    [
        {"context_tokens": 0},
        {"eval_fraction": 0.0},
        {"eval_fraction": 1.0},
        {"limit_tokens": 256},
        {"eval_limit_tokens": 3},
    ],
)
def test_impossible_settings(change):
    (name,) = change
    with pytest.raises(UserError, match=name):
        from_dict(TextData.Config, change)


def test_a_misspelt_option():
    with pytest.raises(UserError, match="Did you mean 'context_tokens'"):
        from_dict(TextData.Config, {"contxt_tokens": 3})


@pytest.mark.parametrize("change", [{"source": "nowhere.txt"}, {"tokenizer": "bpe:x"}])
def test_nothing_is_written_for_bad_input(cache, change):
    with pytest.raises(UserError):
        TextData(TextData.Config(**change), seed=0)
    assert list(cache.iterdir()) == []
