"""Tokenizers: nothing is lost, a saved one is the same one, a learned one is reproducible."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from argmind import registry
from argmind.data.sources import base, open_source
from argmind.data.tokenizers import bpe, load_tokenizer, open_tokenizer
from argmind.errors import UserError

PROSE = [
    "The energy of an answer is low where it fits.\nThinking walks downhill.\n" * 20,
    "Die Energie einer Antwort ist niedrig, wo sie paßt. ä€😀 \n\n  Denken geht bergab.\n" * 20,
]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return open_tokenizer("bpe:340", open_source(PROSE), tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="module", params=["byte", "bpe"])
def tokenizer(request, learned):
    return learned if request.param == "bpe" else open_tokenizer("byte")


@pytest.fixture
def foreign():
    """A SentencePiece-like tokenizer with byte fallback and no end of document."""
    words = {"<unk>": 0, "▁the": 1, "▁energy": 2, "▁": 3, "s": 4}
    words |= {f"<0x{value:02X}>": 5 + value for value in range(256)}
    inner = tokenizers.Tokenizer(
        tokenizers.models.BPE(words, [], unk_token="<unk>", byte_fallback=True)
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    inner.decoder = tokenizers.decoders.Sequence(
        [tokenizers.decoders.ByteFallback(), tokenizers.decoders.Metaspace()]
    )
    return inner


def test_the_registered_tokenizers():
    assert registry.names("tokenizer") == ["bpe", "byte", "file", "hf"]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_round_trip(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.byte_length(ids) == len(text.encode())
    assert ids.dtype == np.int64
    assert all(0 <= index < tokenizer.vocab_size for index in ids)
    assert tokenizer.end_id not in ids


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_a_batch_is_its_texts(tokenizer, texts):
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert ids.tolist() == tokenizer.encode(text).tolist()


@given(data=st.data())
def test_decoding_one_by_one_equals_all_at_once(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=40))
    decoder = tokenizer.decoder()
    assert "".join(decoder.push(index) for index in ids) + decoder.flush() == tokenizer.decode(ids)


def test_a_split_character_waits_for_its_last_byte():
    decoder = open_tokenizer("byte").decoder()
    assert [decoder.push(byte) for byte in "€".encode()] == ["", "", "€"]
    assert decoder.push(0xE2) == ""
    assert decoder.flush() == "\N{REPLACEMENT CHARACTER}"


def test_text_that_names_the_end_is_text(learned):
    text = "a <|end|> b"
    assert learned.end_id not in learned.encode(text)
    assert learned.decode(learned.encode(text)) == text


@pytest.mark.parametrize("text", ["a\ud800b", "\udcff"])
def test_lone_surrogates_become_replacement_characters(tokenizer, text):
    expected = "".join("\N{REPLACEMENT CHARACTER}" if c > "\ud7ff" else c for c in text)
    assert tokenizer.decode(tokenizer.encode(text)) == expected


def test_the_end_is_no_text(tokenizer):
    ids = [*tokenizer.encode("ab"), tokenizer.end_id, *tokenizer.encode("c")]
    assert tokenizer.decode(ids) == "abc"
    assert tokenizer.byte_length(ids) == 3
    assert tokenizer.token_text(tokenizer.end_id) == "<end>"


@pytest.mark.parametrize("index", [-1, 10**6])
def test_ids_outside_the_vocabulary_are_refused(tokenizer, index):
    with pytest.raises(ValueError, match="outside the vocabulary"):
        tokenizer.decode([index])


def test_every_token_is_printable(tokenizer):
    texts = [tokenizer.token_text(index) for index in range(tokenizer.vocab_size)]
    assert all(text.isprintable() and text for text in texts)
    assert texts[tokenizer.encode("\n")[0]] == "\\n"
    assert texts[tokenizer.encode("e")[0]] == "e"


def test_the_byte_vocabulary():
    tokenizer = open_tokenizer("byte")
    assert (tokenizer.vocab_size, tokenizer.end_id) == (257, 256)
    assert tokenizer.token_text(0xE2) == "\\xe2"


def test_saving(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]
    json.loads((tmp_path / "tokenizer.json").read_text())
    for again in (load_tokenizer(tmp_path), open_tokenizer(str(tmp_path / "tokenizer.json"))):
        assert again.fingerprint == tokenizer.fingerprint
        assert (again.vocab_size, again.end_id) == (tokenizer.vocab_size, tokenizer.end_id)
        assert again.encode(PROSE[1]).tolist() == tokenizer.encode(PROSE[1]).tolist()


# Learned --------------------------------------------------------------------


def test_learned_tokens_have_the_size_asked_for(learned):
    assert learned.vocab_size == 340
    assert len(learned.encode(PROSE[0])) < len(PROSE[0]) / 2


def test_little_data_gives_fewer_tokens():
    assert open_tokenizer("bpe:5000", open_source(["ab ab"])).vocab_size < 300


def test_learning_is_the_same_in_every_process(learned, tmp_path):
    code = (
        "import json, sys; from argmind.data import open_source, open_tokenizer\n"
        "texts = json.load(sys.stdin)\n"
        "print(open_tokenizer('bpe:340', open_source(texts)).fingerprint)"
    )
    for run, threads in enumerate(("true", "false")):
        environment = {"ARGMIND_CACHE": str(tmp_path / str(run)), "TOKENIZERS_PARALLELISM": threads}
        found = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(PROSE),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == learned.fingerprint


def test_a_learned_tokenizer_is_kept_and_a_damaged_one_learned_again(cache, monkeypatch, caplog):
    source = open_source(PROSE)
    first = open_tokenizer("bpe:300", source)
    (path,) = cache.glob("bpe-*.json")
    record = json.loads(path.read_bytes())
    monkeypatch.setattr(source, "pieces", lambda: pytest.fail("it was learned twice"))
    assert open_tokenizer("bpe:300", source).fingerprint == first.fingerprint
    monkeypatch.undo()
    monkeypatch.setenv("ARGMIND_CACHE", str(cache))

    record["record"]["model"]["vocab"]["ZZ"] = 7
    for damage in (json.dumps(record), "{", "[]", "{}"):
        path.write_text(damage)
        caplog.clear()
        assert open_tokenizer("bpe:300", source).fingerprint == first.fingerprint
        assert "damaged" in caplog.text


def test_only_the_first_bytes_are_learned_from(monkeypatch, tmp_path):
    monkeypatch.setattr(bpe, "TRAIN_BYTES", 1001)
    text = "".join(bpe._first_text(open_source(["é" * 300, "ü" * 300, "ö"])))
    assert text == "é" * 300 + "ü" * 200
    monkeypatch.setattr(bpe, "TRAIN_BYTES", len(PROSE[0]))
    short = open_tokenizer("bpe:300", open_source([PROSE[0], "zzzz " * 999]), tmp_path / "a")
    whole = open_tokenizer("bpe:300", open_source([PROSE[0]]), tmp_path / "b")
    assert short.fingerprint == whole.fingerprint


def test_pieces_of_a_long_text_are_encoded_as_the_whole(learned, monkeypatch):
    text = (PROSE[0] + PROSE[1] + "\n \nx\n\n\ty\r\n z") * 3
    whole = learned.encode(text)
    monkeypatch.setattr(base, "PIECE_CHARS", 300)
    pieces = [piece for piece, _ in base.cut([text])]
    assert len(pieces) > 10
    assert np.concatenate([learned.encode(piece) for piece in pieces]).tolist() == whole.tolist()


# Made elsewhere -------------------------------------------------------------


def test_a_foreign_tokenizer_gets_an_end_and_exact_bytes(foreign, tmp_path):
    foreign.save(str(tmp_path / "other.json"))
    tokenizer = open_tokenizer(str(tmp_path / "other.json"))
    assert tokenizer.end_id == 261
    assert tokenizer.vocab_size == 262
    assert tokenizer.token_bytes(2) == b" energy"
    assert tokenizer.token_bytes(5 + 0xE2) == b"\xe2"
    ids = tokenizer.encode("€")
    assert tokenizer.decode(ids) == "€"
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).fingerprint == tokenizer.fingerprint


def test_special_and_padding_settings_of_a_foreign_tokenizer_are_off(foreign):
    foreign.add_special_tokens(["</s>", "<s>"])
    foreign.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", foreign.token_to_id("<s>"))]
    )
    foreign.enable_padding(length=50)
    foreign.enable_truncation(2)
    tokenizer = registry.find("tokenizer", "hf")(foreign)
    assert tokenizer.end_id == 261
    ids = tokenizer.encode("the energy </s>")
    assert not {261, 262} & set(ids.tolist())
    assert len(ids) > 2
    assert tokenizer.token_bytes(262) == b""


def test_the_hub(foreign, monkeypatch):
    asked = []

    class Fake:
        @staticmethod
        def from_pretrained(name):
            asked.append(name)
            if name == "absent":
                raise OSError("Repository not found\nfor url …")
            return foreign

    monkeypatch.setattr(tokenizers, "Tokenizer", Fake)
    assert open_tokenizer("hf:org/model").end_id == 261
    assert asked == ["org/model"]
    with pytest.raises(UserError, match=r"tokenizer hf:absent: Repository not found Check"):
        open_tokenizer("hf:absent")
    with pytest.raises(UserError, match="name a model"):
        open_tokenizer("hf:")


# Bad input ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("bytes", "no such tokenizer: 'bytes'. Did you mean 'byte'?"),
        ("byte:3", "takes no argument"),
        ("bpe", "write the number of tokens"),
        ("bpe:8k", "write the number of tokens"),
        ("bpe:²", "write the number of tokens"),
        ("bpe:256", "must be between 257"),
        ("bpe:300", "is learned from data"),
        ("nowhere/tokenizer.json", "no such tokenizer"),
    ],
)
def test_bad_names(spec, complaint):
    with pytest.raises(UserError) as caught:
        open_tokenizer(spec)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"{}", b"[]", b'{"argmind_tokenizer": "x"}'])
def test_not_a_tokenizer_file(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"is not a tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer(tmp_path):
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        open_tokenizer(str(tmp_path))


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for spec in ("bpe:300", "hf:gpt2"):
        with pytest.raises(UserError, match=r"pip install 'argmind\[text\]'"):
            open_tokenizer(spec, open_source(PROSE))
