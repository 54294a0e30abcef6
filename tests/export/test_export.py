"""Exports read back by our own loaders: weights, shape, prompt ids; rejected exports, and failures."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from support.cli import Run
from support.tiny_runs import FAMILIES, QUESTIONS, make_base, make_run
from thinkaloud.data.store import write_pool
from thinkaloud.errors import ContractMismatch, UserError
from thinkaloud.export import build, export_run
from thinkaloud.export.build import Format
from thinkaloud.export.bundle import Bundle, open_bundle
from thinkaloud.export.card import data_licenses
from thinkaloud.export.gguf import write_gguf
from thinkaloud.fetch.gguf_header import read_gguf_header
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.model import save_hf
from thinkaloud.model.merge import merge_in_place
from thinkaloud.model.weights import load_checkpoint
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import load_tokenizer
from thinkaloud.records import Task


@pytest.fixture(scope="session", params=FAMILIES)
def tiny_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a random model, with an adapter whose B is not zero. Read only."""
    folder = tmp_path_factory.mktemp(f"export-{request.param}")
    return make_run(folder / "run", str(make_base(request.param, folder / "base")))


def flat(params: dict[str, Any]) -> dict[str, np.ndarray]:
    return {**{k: v for k, v in params.items() if k != "layers"}, **params["layers"]}


def expect_the_contract(bundle: Bundle, files: ModelFiles, saved: Path) -> None:
    """The exported tokenizer matches the run's own, and produces the same ids."""
    again = PromptContract.load(saved, load_tokenizer(files))
    assert again.fingerprint == bundle.contract.fingerprint
    for question in QUESTIONS:
        assert again.encode(question) == bundle.contract.encode(question)


def test_the_merge_by_hand() -> None:
    params = {"layers": {"q": np.ones((2, 2, 3), np.float32), "k": np.ones((2, 2, 1), np.float32)}}
    a = np.asarray([[[1.0], [2.0]], [[0.0], [1.0]]], np.float32)
    b = np.asarray([[[1.0, 0.0, -1.0]], [[4.0, 4.0, 4.0]]], np.float32)
    merged = merge_in_place(params, {"q": {"a": a, "b": b}}, 0.5)
    assert merged["layers"]["q"].tolist() == [[[1.5, 1, 0.5], [2, 1, 0]], [[1, 1, 1], [3, 3, 3]]]
    assert (merged["layers"]["k"] == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_hf_holds_the_merged_weights(tiny_run: Path, tmp_path: Path, dtype: str) -> None:
    done = export_run(tiny_run, "hf", dtype=dtype, out=tmp_path / "out")
    assert {"config.json", "generation_config.json", "tokenizer.json", "contract.json", "README.md"} <= set(done.files)
    bundle, files = open_bundle(tiny_run, "trained"), resolve_model(str(done.path))
    config, params = load_checkpoint(files)
    expected, base = flat(bundle.merged()), flat(load_checkpoint(bundle.files)[1])
    assert config == bundle.config
    for name, array in flat(params).items():
        stored = expected[name].astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32)
        np.testing.assert_array_equal(array, stored.astype(np.float32), err_msg=name)
        assert (expected[name] != base[name]).any() == (name in bundle.adapter), name
    expect_the_contract(bundle, files, done.path / "contract.json")
    settings = json.loads((done.path / "generation_config.json").read_text())
    assert settings["eos_token_id"] == list(bundle.contract.stop_ids)
    assert settings["max_new_tokens"] == 24
    assert json.loads((done.path / "tokenizer_config.json").read_text())["chat_template"] == (
        bundle.contract.chat_template()
    )


def test_shards_with_an_index(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save_hf, "SHARD_BYTES", 200_000)
    done = export_run(tiny_run, "hf", dtype="float32", out=tmp_path / "out")
    named = json.loads((done.path / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(named.values())) > 1
    _, params = load_checkpoint(resolve_model(str(done.path)))
    np.testing.assert_array_equal(params["layers"]["down"], open_bundle(tiny_run, "trained").merged()["layers"]["down"])


def test_the_base_is_exported_without_an_adapter(tiny_run: Path) -> None:
    done = export_run(tiny_run, "hf", stage="base", dtype="float32")
    assert done.path == tiny_run / "export" / "hf-float32-base"
    bundle = open_bundle(tiny_run, "trained")
    found, base = (flat(load_checkpoint(files)[1]) for files in (resolve_model(str(done.path)), bundle.files))
    for name, array in base.items():
        np.testing.assert_array_equal(found[name], array)


def test_peft_layout(tiny_run: Path, tmp_path: Path) -> None:
    done = export_run(tiny_run, "peft", out=tmp_path / "out")
    bundle = open_bundle(tiny_run, "trained")
    config = json.loads((done.path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (3, 5, "LORA")
    assert set(config["target_modules"]) == {f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")}
    tensors = load_file(done.path / "adapter_model.safetensors")
    assert len(tensors) == 2 * 7 * bundle.config.num_layers
    stem = "base_model.model.model.layers.1.mlp.down_proj"
    a, b = tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"]
    assert (a.shape, b.shape, a.dtype) == ((3, 128), (64, 3), np.dtype(np.float32))
    before = load_checkpoint(bundle.files)[1]["layers"]["down"][1].T
    np.testing.assert_allclose(before + np.float32(5 / 3) * (b @ a), bundle.merged()["layers"]["down"][1].T, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "q8_0"])
def test_gguf_read_back(tiny_run: Path, tmp_path: Path, dtype: str) -> None:
    done = export_run(tiny_run, "gguf", dtype=dtype, out=tmp_path / "out")
    assert set(done.files) == {f"tiny-run-{dtype}.gguf", "contract.json", "README.md"}
    files, bundle = resolve_model(str(done.path)), open_bundle(tiny_run, "trained")
    config, params = load_checkpoint(files)
    assert config == bundle.config
    expected = flat(bundle.merged())
    for name, array in flat(params).items():
        exact = expected[name]
        if name.endswith("norm"):  # 1 is added and taken away again
            np.testing.assert_allclose(array, exact, atol=1e-6, err_msg=name)
        elif dtype == "q8_0":  # blocks of 32 share a float16 scale of a 127th of the largest
            assert np.abs(array - exact).max() <= np.abs(exact).max() / 250, name
        else:
            kind = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}[dtype]
            np.testing.assert_array_equal(array, exact.astype(kind).astype(np.float32), err_msg=name)
    expect_the_contract(bundle, files, done.path / "contract.json")
    metadata = read_gguf_header(files.weights[0]).metadata
    assert metadata["tokenizer.chat_template"] == bundle.contract.chat_template()
    stops = {metadata["tokenizer.ggml.eos_token_id"], metadata["tokenizer.ggml.eot_token_id"]}
    assert stops == set(bundle.contract.stop_ids)


def test_gguf_of_a_base_that_was_gguf(tiny_run: Path, tmp_path: Path) -> None:
    """The tokenizer's keys are copied, and exporting again changes nothing."""
    first = export_run(tiny_run, "gguf", dtype="float32", stage="base", out=tmp_path / "first")
    file = next(first.path.glob("*.gguf"))
    frame = "gemma" if "gemma3" in str(tiny_run) else "smollm2"
    again = make_run(tmp_path / "run", str(file), frame=frame)
    second = export_run(again, "gguf", dtype="float32", stage="base", out=tmp_path / "second")
    heads = [read_gguf_header(next(done.path.glob("*.gguf"))).metadata for done in (first, second)]
    keys = [key for key in heads[0] if not key.startswith("general.") and "chat_template" not in key]
    assert len(keys) > 15
    assert {key: heads[1].get(key) for key in keys} == {key: heads[0][key] for key in keys}
    merged = export_run(again, "hf", dtype="float32", out=tmp_path / "merged")
    expect_the_contract(open_bundle(again, "trained"), resolve_model(str(merged.path)), merged.path / "contract.json")


def test_models_without_a_gguf_form_are_rejected_by_name(tiny_run: Path, tmp_path: Path) -> None:
    bundle = open_bundle(tiny_run, "trained")
    with pytest.raises(UserError, match="query_scale"):
        write_gguf(replace(bundle, config=replace(bundle.config, query_scale=0.3)), "float16", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_tiny_model_s_bytes_have_no_gguf_form(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "tiny")
    with pytest.raises(UserError, match="unknown token"):
        export_run(folder, "gguf")
    done = export_run(folder, "hf")
    expect_the_contract(open_bundle(folder, "trained"), resolve_model(str(done.path)), done.path / "contract.json")
    assert [path.name for path in (folder / "export").iterdir()] == ["hf-bfloat16"]


def test_the_card(tiny_run: Path, tmp_path: Path) -> None:
    done = export_run(tiny_run, "peft", out=tmp_path / "out")
    card = (done.path / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nbase_model: "base"\n')
    assert "| overall | trained | 10 | 90 % [60, 98] | 50 % | 0.610 |" in card
    assert "\nNo difference is shown.\n" in card, "the headline"
    assert "- Training data, starter: Apache-2.0" in card
    assert open_bundle(tiny_run, "trained").contract.fingerprint[:16] in card
    assert str(tiny_run.parent) not in card  # no local path


def test_licences_of_the_data_come_from_the_pool(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "tiny")
    tasks = [
        Task(id=str(n), domain="math", source=source, question="q", answer="a", license=license)
        for n, (source, license) in enumerate((("gsm8k", "MIT"), ("mbpp", "CC-BY-4.0"), ("gsm8k", "CC-BY-4.0")))
    ]
    write_pool(folder / "pool", tasks, domains=("math",), seed=0)
    assert data_licenses(open_bundle(folder, "trained")) == {"gsm8k": "CC-BY-4.0, MIT", "mbpp": "CC-BY-4.0"}


def test_a_card_without_an_evaluation(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "tiny")
    (folder / "eval" / "summary.json").unlink()
    done = export_run(folder, "hf")
    assert "no evaluation" in (done.path / "README.md").read_text(encoding="utf-8")


def test_another_prompt_than_in_training_is_rejected(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "tiny")
    text = (folder / "contract.json").read_text(encoding="utf-8")
    (folder / "contract.json").write_text(text.replace("Provide your reasoning", "Provide  your reasoning"))
    with pytest.raises(ContractMismatch):
        export_run(folder, "hf")
    done = export_run(folder, "hf", allow_contract_mismatch=True)
    assert "Provide  your" in (done.path / "contract.json").read_text(encoding="utf-8")


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(bundle: Bundle, dtype: str, folder: Path) -> None:
        (folder / "half.safetensors").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    folder = make_run(tmp_path / "run", "tiny")
    monkeypatch.setitem(build.FORMATS, "hf", Format(fail, ("float32",)))
    with pytest.raises(UserError, match="No space left"):
        export_run(folder, "hf", out=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


class TestCommand:
    def test_json(self, run: Run, tmp_path: Path) -> None:
        folder = make_run(tmp_path / "run", "tiny")
        ended = run("export", str(folder), "--format", "hf", "--dtype", "float32", "--json")
        assert (ended.code, ended.err) == (0, "")
        printed = json.loads(ended.out)
        assert printed["path"] == str(folder / "export" / "hf-float32")
        assert printed["files"]["model.safetensors"] > 100_000
        assert "it exists" in run("export", str(folder), "--format", "hf", "--dtype", "float32").mistake

    def test_mistakes(self, run: Run, tmp_path: Path) -> None:
        folder = make_run(tmp_path / "run", "tiny")
        assert "did you mean 'gguf'" in run("export", str(folder), "--format", "gguff").mistake
        assert "expected float32" in run("export", str(folder), "--format", "peft", "--dtype", "q8_0").mistake
        assert "choose --stage trained" in run("export", str(folder), "--format", "peft", "--stage", "base").mistake
        assert (
            "expected a checkpoint of stage 'cold_start'"
            in run("export", str(folder), "--format", "hf", "--stage", "cold_start").mistake
        )
        assert "not a run directory" in run("export", str(tmp_path / "none"), "--format", "hf").mistake

    def test_tunix_without_orbax(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = make_run(tmp_path / "run", "tiny")
        real = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "orbax" else real(name))
        assert "pip install orbax-checkpoint" in run("export", str(folder), "--format", "tunix").mistake
        assert not (folder / "export" / "tunix-bfloat16").exists()
