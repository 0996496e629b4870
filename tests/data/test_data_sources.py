"""Sources: every form of text is read, and every kind of bad input is named with its place."""

import gzip
import json
import os
import subprocess
import sys
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argmind import registry
from argmind.data.sources import base, open_source
from argmind.errors import UserError

STORIES = ["First story.\n", "Zweite Geschichte: ä€😀", "third"]


def documents(spec, field="text"):
    return list(open_source(spec, field).documents())


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


def error_of(spec, field="text"):
    with pytest.raises(UserError) as caught:
        documents(spec, field)
    return str(caught.value)


# What is read ---------------------------------------------------------------


def test_the_registered_sources():
    assert registry.names("source") == ["files", "hf", "problems", "python", "texts"]


@pytest.mark.parametrize("name", ["story.txt", "story.md", "STORY.TXT"])
def test_a_text_file_is_one_document(tmp_path, name):
    (tmp_path / name).write_text("".join(STORIES), "utf-8")
    assert documents(str(tmp_path / name)) == ["".join(STORIES)]


def test_a_byte_order_mark_is_no_text_and_line_ends_are_kept(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert documents(str(tmp_path / "a.txt")) == ["one\r\ntwo"]


def test_text_gz(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("ä€😀".encode()))
    assert documents(str(tmp_path / "a.txt.gz")) == ["ä€😀"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_json_lines(tmp_path, pack):
    path = tmp_path / ("a.jsonl" if pack is bytes else "a.jsonl.gz")
    lines = [json.dumps({"n": i, "body": story}) for i, story in enumerate(STORIES)]
    lines += ["", json.dumps({"body": None}), json.dumps({"body": ""})]
    path.write_bytes(pack("\n".join(lines).encode()))
    assert documents(str(path), "body") == STORIES


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet(tmp_path, kind):
    path = tmp_path / "a.parquet"
    table = pa.table({"n": [1, 2, 3, 4], "body": pa.array([*STORIES, None], kind)})
    pq.write_table(table, path)
    assert documents(str(path), "body") == STORIES


def test_a_folder_is_read_recursively_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "1.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    write_lines(tmp_path / "c.jsonl", [{"text": "third"}, {"text": "fourth"}])
    (tmp_path / "empty.txt").touch()
    (tmp_path / ".git" / "x.txt").write_text("hidden")
    (tmp_path / "picture.png").write_bytes(b"\0")
    assert documents(str(tmp_path)) == ["first", "second", "third", "fourth"]


def test_a_glob(tmp_path):
    for name in ("b.txt", "a.txt", "c.log"):
        (tmp_path / name).write_text(name)
    assert documents(str(tmp_path / "*.txt")) == ["a.txt", "b.txt"]
    assert documents(str(tmp_path / "**" / "?.log")) == ["c.log"]
    assert "no file matches" in error_of(str(tmp_path / "*.csv"))


def test_a_file_whose_name_has_pattern_characters(tmp_path):
    (tmp_path / "a[1].txt").write_text("here")
    assert documents(str(tmp_path / "a[1].txt")) == ["here"]


def test_a_file_named_like_a_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python").write_text("mine")
    assert documents("files:python") == documents("./python") == ["mine"]


def test_the_manual_of_python_itself():
    found = documents("python")
    assert len(found) > 50
    assert sum(map(len, found)) > 300_000
    assert open_source("python").fingerprint == open_source("python").fingerprint


def test_strings():
    assert documents(story for story in [*STORIES, ""]) == STORIES
    assert open_source(["ab", "c"]).fingerprint != open_source(["a", "bc"]).fingerprint


# Pieces ---------------------------------------------------------------------


@given(text=st.text("ab \n", max_size=200), limit=st.integers(1, 20), block=st.integers(1, 50))
def test_pieces_are_bounded_and_lose_nothing(text, limit, block):
    saved, base.PIECE_CHARS = base.PIECE_CHARS, limit
    try:
        whole = list(base.cut([text]))
        blocks = [text[at : at + block] for at in range(0, len(text), block)]
        assert list(base.cut(blocks)) == whole
    finally:
        base.PIECE_CHARS = saved
    assert "".join(piece for piece, _ in whole) == text
    assert all(0 < len(piece) <= limit for piece, _ in whole)
    assert [ends for _, ends in whole] == [False] * (len(whole) - 1) + [True] * bool(text)


def test_a_large_file_comes_in_pieces_with_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "PIECE_CHARS", 100)
    monkeypatch.setattr("argmind.data.sources._readers._BLOCK_BYTES", 33)  # splits characters
    text = "\n".join(f"Zeile {i} – ä€😀" for i in range(100))
    (tmp_path / "a.txt").write_text(text, "utf-8")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    source = open_source(str(tmp_path))
    pieces = list(source.pieces())
    assert "".join(piece.text for piece in pieces) == text * 2
    assert max(len(piece.text) for piece in pieces) <= 100
    done = [piece.done_bytes for piece in pieces]
    assert done == sorted(done)
    assert done[-1] == source.total_bytes
    assert sum(piece.ends for piece in pieces) == 2


# Fingerprints ---------------------------------------------------------------


def test_fingerprint_follows_content_not_place(tmp_path):
    (tmp_path / "x").mkdir()
    one, two = tmp_path / "one.jsonl", tmp_path / "x" / "two.jsonl"
    write_lines(one, [{"text": "a", "body": "b"}])
    write_lines(two, [{"text": "a", "body": "b"}])
    first = open_source(str(one)).fingerprint
    assert open_source(str(two)).fingerprint == first
    assert open_source(str(one), "body").fingerprint != first
    os.utime(one, (0, 0))
    assert open_source(str(one)).fingerprint == first
    state = one.stat()
    write_lines(one, [{"text": "a", "body": "c"}])  # same size, same time
    os.utime(one, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert open_source(str(one)).fingerprint != first


# Bad input ------------------------------------------------------------------


def test_no_such_file_names_the_nearest(tmp_path):
    (tmp_path / "stories.txt").write_text("x")
    (tmp_path / "corpus").mkdir()
    message = error_of(str(tmp_path / "storys.txt"))
    assert "no such file" in message
    assert f"Did you mean '{tmp_path / 'stories.txt'}'?" in message
    message = error_of(str(tmp_path / "corpsu" / "deep" / "a.txt"))
    assert f"there is no {tmp_path / 'corpsu'}" in message
    assert f"Did you mean '{tmp_path / 'corpus'}'?" in message
    assert "Did you mean" not in error_of(str(tmp_path / "qqqq"))


def test_a_misspelt_source_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "Did you mean 'python'?" in error_of("pyhton")


def test_text_in_place_of_a_name():
    assert "cannot read" in error_of("A whole story. " * 1000)


@pytest.mark.parametrize("spec", ["", "  "])
def test_no_name_at_all(spec):
    assert "no data given" in error_of(spec)


def test_empty_file(tmp_path):
    (tmp_path / "a.txt").touch()
    assert "a.txt is an empty file" in error_of(str(tmp_path / "a.txt"))
    (tmp_path / "b.txt").touch()
    assert "holds 2 files, all empty" in error_of(str(tmp_path))


def test_a_folder_without_usable_files(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    message = error_of(str(tmp_path))
    assert "no usable file" in message
    assert "*.jsonl.gz" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"text\xc3\xa4\0more", "a zero byte at byte 6"),
        (b"text \xc3\xa4 \xff", "invalid UTF-8 at byte 8"),
        (b"cut \xe2\x82", "invalid UTF-8 at byte 4"),
        ("é".encode("latin-1") + b"t", "invalid UTF-8 at byte 0"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 3, 1 << 20])
def test_binary_file(tmp_path, monkeypatch, content, found, block_bytes):
    monkeypatch.setattr("argmind.data.sources._readers._BLOCK_BYTES", block_bytes)
    (tmp_path / "a.txt").write_bytes(content)
    message = error_of(str(tmp_path / "a.txt"))
    assert "not a text file" in message
    assert found in message


@pytest.mark.parametrize("bad", [b'{"text": "\xff"}', b'{"text": "\0\xff"}'])
def test_binary_json_lines(tmp_path, bad):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n' + bad)
    assert "at byte 24" in error_of(str(tmp_path / "a.jsonl"))


def test_wrong_field_of_json_lines(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"text": "x"}, {"content": "x", "id": 3}])
    message = error_of(str(tmp_path / "a.jsonl"), "text")
    assert (
        "a.jsonl:2: no field 'text'. Did you mean 'content'? Fields there: content, id" in message
    )
    assert "--field" in message


def test_wrong_field_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["q"], "answer": ["a"], "n": [1]}), path)
    message = error_of(str(path), "anwser")
    assert "no field 'anwser'. Did you mean 'answer'? Fields there: question, answer, n" in message
    assert "field 'n' holds int64, not text" in error_of(str(path), "n")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"text": "x"', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('["x"]', "a JSON list"),
        ('{"text": 3}', "field 'text' holds int, not text"),
    ],
)
def test_broken_json_line(tmp_path, line, complaint):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n\n' + line + "\n")
    message = error_of(str(tmp_path / "a.jsonl"))
    assert "a.jsonl:3: " in message
    assert complaint in message


def test_a_json_file_that_is_not_lines(tmp_path):
    (tmp_path / "a.json").write_text('[\n{"text": "x"}\n]')
    assert "a.json:1: not valid JSON" in error_of(str(tmp_path / "a.json"))


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz"])
def test_truncated_and_damaged_gzip(tmp_path, name):
    lines = "".join(json.dumps({"text": str(i**9)}) + "\n" for i in range(2000)).encode()
    packed = gzip.compress(lines)
    (tmp_path / name).write_bytes(packed[:-9])
    assert "cut off" in error_of(str(tmp_path / name))
    flipped = bytearray(packed)
    flipped[-6] ^= 1  # in the checksum
    (tmp_path / name).write_bytes(flipped)
    assert "not a sound gzip file" in error_of(str(tmp_path / name))
    (tmp_path / name).write_bytes(b"plain text")
    assert "not a sound gzip file" in error_of(str(tmp_path / name))


@pytest.mark.parametrize("content", [b"PAR1 nonsense PAR1", b"x"])
def test_damaged_parquet(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    assert "not a readable Parquet file" in error_of(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("spec", "package"), [("{}/a.parquet", "pyarrow"), ("hf:some/set", "datasets")]
)
def test_missing_package(tmp_path, monkeypatch, spec, package):
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, package, None)
    message = error_of(spec.format(tmp_path))
    assert f"needs the package '{package}'" in message
    assert "pip install 'argmind[data]'" in message


def test_an_unreadable_file(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("x")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert "Permission denied" in error_of(str(tmp_path / "a.txt"))


@pytest.mark.parametrize("texts", [[], [""], iter(())])
def test_no_strings(texts):
    assert "empty" in error_of(texts)


def test_not_strings():
    assert "texts[1] is of type int" in error_of(["a", 1])
    assert "one per document" in error_of(b"raw")
    assert "given from Python" in error_of("texts:x")
    assert "takes no argument" in error_of("python:3")


# Hub ------------------------------------------------------------------------


@pytest.fixture
def fake_hub(monkeypatch):
    """A ``datasets`` module that records what it is asked for."""
    module = ModuleType("datasets")
    module.calls = []
    module.rows = [{"text": story, "id": i} for i, story in enumerate(STORIES)]

    def load_dataset(name, config, *, split, streaming):
        module.calls.append((name, config, split, streaming))
        if isinstance(module.rows, Exception):
            raise module.rows
        return iter(module.rows)

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        ("hf:squad", ("squad", None, "train", True)),
        ("hf:org/name", ("org/name", None, "train", True)),
        ("hf:org/name:test", ("org/name", None, "test", True)),
        ("hf:org/name/conf", ("org/name", "conf", "train", True)),
        ("hf:org/name/conf:train[:10%]", None),
        ("hf:org/name/conf:valid", ("org/name", "conf", "valid", True)),
    ],
)
def test_hub_names(fake_hub, spec, asked):
    if asked is None:
        assert "hf:NAME[/config][:split]" in error_of(spec)
    else:
        assert documents(spec) == STORIES
        assert fake_hub.calls == [asked]


def test_hub_is_read_lazily(fake_hub):
    def endless():
        while True:
            yield {"text": "more"}

    fake_hub.rows = endless()
    source = open_source("hf:big")
    assert not fake_hub.calls
    assert next(source.documents()) == "more"


def test_hub_errors(fake_hub):
    assert "no field 'txt'. Did you mean 'text'?" in error_of("hf:name", "txt")
    assert "row 0 holds int, not text" in error_of("hf:name", "id")
    assert "hf:NAME" in error_of("hf:")
    fake_hub.rows = ConnectionError("no route to host")
    message = error_of("hf:name")
    assert "cannot read hf:name:train: no route to host" in message


@pytest.mark.usefixtures("fake_hub")
def test_hub_fingerprint():
    specs = ["hf:a", "hf:b", "hf:a:test", "hf:o/a/c", "hf:o/a/d"]
    prints = {open_source(spec).fingerprint for spec in specs}
    assert len(prints | {open_source("hf:a", "body").fingerprint}) == 6


@pytest.mark.usefixtures("fake_hub")
def test_the_fingerprint_of_a_local_dataset_follows_its_files(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"text": "a"}')
    first = open_source(f"hf:{tmp_path}").fingerprint
    (tmp_path / "train.jsonl").write_text('{"text": "b"}')
    assert open_source(f"hf:{tmp_path}").fingerprint != first


def test_the_real_library_offline(tmp_path):
    """A local dataset folder is read, an absent dataset is a clear error."""
    (tmp_path / "set").mkdir()
    write_lines(tmp_path / "set" / "train.jsonl", [{"text": story} for story in STORIES])
    code = (
        "import json, sys\n"
        "from argmind.data import open_source\n"
        "from argmind.errors import UserError\n"
        "print(json.dumps(list(open_source('hf:' + sys.argv[1]).documents())))\n"
        "try: list(open_source('hf:no-such-owner/no-such-set').documents())\n"
        "except UserError as error: print(error)\n"
    )
    hub = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "set")],
        capture_output=True,
        text=True,
        env={**os.environ, **hub},
    )
    assert found.returncode == 0, found.stderr
    first, second = found.stdout.strip().splitlines()
    assert json.loads(first) == STORIES
    assert second.startswith("cannot read hf:no-such-owner/no-such-set:train")
