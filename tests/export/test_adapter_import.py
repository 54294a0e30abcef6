"""A run that starts from an adapter (`model.adapter`), its exports and its evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.cli import Run
from support.tiny_runs import FAMILIES, make_base, make_run
from thinkaloud.errors import UserError
from thinkaloud.evaluate.run import open_other_model
from thinkaloud.export import export_run
from thinkaloud.export.bundle import open_bundle
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.weights import load_checkpoint
from thinkaloud.session.run import open_run, stage_adapter


@pytest.fixture(scope="module", params=FAMILIES)
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A base, a first run's adapter in peft's layout, and a second run that started from it. Read only."""
    folder = tmp_path_factory.mktemp(f"import-{request.param}")
    base = make_base(request.param, folder / "base")
    adapter = export_run(make_run(folder / "first", str(base), targets=("q", "v", "up")), "peft").path
    second = make_run(folder / "second", str(base), begun_from=adapter, rank=2, alpha=3.0, targets=("q", "down"))
    return base, adapter, second


def expect_equal(found: dict[str, Any], expected: dict[str, Any], atol: float) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected["layers"].items():
        np.testing.assert_allclose(found["layers"][name], array, atol=atol, err_msg=name)


def test_a_run_s_adapter_comes_back_as_it_went_out(folders: tuple[Path, Path, Path]) -> None:
    base, adapter, _ = folders
    first = open_bundle(adapter.parents[1], "trained")
    _, params = load_checkpoint(resolve_model(str(base), adapter=str(adapter)))
    expect_equal(params, first.merged(), atol=1e-6)
    assert np.abs(params["layers"]["q"] - load_checkpoint(first.files)[1]["layers"]["q"]).max() > 0.1


def test_the_second_run_s_adapter_holds_both(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, _, second = folders
    whole = export_run(second, "hf", dtype="float32", out=tmp_path / "hf").path
    alone = export_run(second, "peft", out=tmp_path / "peft").path
    fields = json.loads((alone / "adapter_config.json").read_text())
    assert (fields["r"], fields["lora_alpha"]) == (5, 5)  # 3 of the first and 2 of the second
    assert set(fields["target_modules"]) == {"q_proj", "v_proj", "up_proj", "down_proj"}
    _, expected = load_checkpoint(resolve_model(str(whole)))
    _, params = load_checkpoint(resolve_model(str(base), adapter=str(alone)))
    expect_equal(params, expected, atol=1e-5)
    assert "`peft-float32` was merged into the base; this export" in (alone / "README.md").read_text()


def test_the_base_of_the_second_run_is_the_first_run(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, adapter, second = folders
    done = export_run(second, "hf", stage="base", dtype="float32", out=tmp_path / "out")
    expect_equal(
        load_checkpoint(resolve_model(str(done.path)))[1], open_bundle(adapter.parents[1], "trained").merged(), 1e-6
    )
    alone = export_run(second, "peft", stage="base", out=tmp_path / "peft").path
    assert json.loads((alone / "adapter_config.json").read_text())["r"] == 3


def test_the_policy_of_the_second_run_is_its_export(folders: tuple[Path, Path, Path]) -> None:
    """What `train`, `eval`, `chat` and `generate` load: the merged base, and the run's own adapter."""
    _, adapter, second = folders
    session, begun = open_run(second)
    policy = session.load_policy()
    expect_equal(policy.model.params, open_bundle(adapter.parents[1], "trained").merged(), 1e-6)
    own = stage_adapter(session, begun, policy, "trained")
    assert {target: pair["a"].shape[-1] for target, pair in own.items()} == {"q": 2, "down": 2}


def test_eval_of_an_adapter_goes_onto_the_base_it_names(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, adapter, second = folders
    session, _ = open_run(second)
    other = open_other_model(session, adapter)
    assert (other.recipe.model.source, other.recipe.model.adapter) == (str(base), str(adapter))
    assert other.contract.fingerprint == session.contract.fingerprint
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "tiny"}))
    (tmp_path / "adapter_model.safetensors").write_bytes((adapter / "adapter_model.safetensors").read_bytes())
    assert open_other_model(session, tmp_path).recipe.model.source == "tiny"


def test_mistakes(folders: tuple[Path, Path, Path], run: Run, tmp_path: Path) -> None:
    base, adapter, second = folders

    def said(source: str, adapter: str) -> str:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(f'name = "r"\n[model]\nsource = "{source}"\n{adapter}')
        return run("prompt", str(recipe)).mistake

    assert "model.adapter" in said(str(adapter), "")
    assert "peft" in said("tiny", 'adapter = "./nowhere"')
    assert "expected adapter_config.json" in said("tiny", f'adapter = "{base}"')
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    assert "pickle" in said("tiny", f'adapter = "{tmp_path}"')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="base_model_name_or_path"):
        open_other_model(open_run(second)[0], tmp_path)
