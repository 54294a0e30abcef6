"""What a user writes into a recipe or after `--set`, and the one line that a mistake gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thinkaloud.config import Recipe, load_recipe, parse_recipe_text
from thinkaloud.config.load import MAX_RECIPE_BYTES
from thinkaloud.errors import UserError

BASE = 'name = "r"\nmodel = "tiny"\n'


def mistake(text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_recipe_text(text, overrides, where="r.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


class TestMistakes:
    def test_unknown_key_names_key_section_and_nearest(self) -> None:
        found = mistake(BASE + "[grpo]\nmax_step = 3\n")
        assert all(part in found for part in ("r.toml", "'max_step'", "[grpo]", "'max_steps'"))

    def test_unknown_section(self) -> None:
        assert "unknown key 'grop' (did you mean 'grpo'?)" in mistake(BASE + "[grop]\nmax_steps = 3\n")

    def test_unknown_key_goes_before_other_mistakes(self) -> None:
        assert "unknown key 'tempature'" in mistake(BASE + '[rollout]\ntempature = 1.0\ngroup_size = "x"\n')

    def test_a_key_far_from_all_lists_the_known_ones(self) -> None:
        assert "(known: exponent)" in mistake(BASE + "[mixture]\nzzz = 1\n")

    def test_missing_keys(self) -> None:
        assert "r.toml: missing key 'name'" in mistake('model = "tiny"\n')
        assert "r.toml: missing key 'model'" in mistake('name = "r"\n')
        assert "missing key 'model.source'" in mistake('name = "r"\n[model]\ndtype = "auto"\n')

    @pytest.mark.parametrize(
        ("override", "expected"),
        [
            ("grpo.max_steps=three", "grpo.max_steps: expected a whole number, found 'three' (text)"),
            ("grpo.max_steps=1.5", "grpo.max_steps: expected a whole number, found 1.5 (a number)"),
            ("rollout.prompts_per_step=1000000000000", "rollout.prompts_per_step: expected less than or equal to"),
            ("lora.rank=9223372036854775808", "lora.rank: expected less than or equal to 4096"),
            ("grpo.max_grad_norm=1e300", "grpo.max_grad_norm: expected less than or equal to"),
            ("grpo.learning_rate=1e300", "grpo.learning_rate"),
            ("grpo.max_steps=-3", "grpo.max_steps: expected greater than or equal to 0, found -3 (a whole number)"),
            ("lora.rank=true", "lora.rank: expected a whole number, found True (true or false)"),
            ("rewards.allow_unsandboxed=1", "rewards.allow_unsandboxed: expected true or false, found 1"),
            ("grpo.epsilon_high=inf", "grpo.epsilon_high: expected a finite number, found inf"),
            ("rollout.temperature=nan", "rollout.temperature: expected"),
            ("rollout.temperature=0.0", "rollout.temperature: expected greater than 0"),
            ("grpo.adam_b1=1.0", "grpo.adam_b1: expected less than 1"),
            ("grpo.ratio=tokens", "grpo.ratio: expected 'token' or 'sequence', found 'tokens' (text)"),
            ("grpo=3", "grpo: expected a section (a table), found 3"),
            ("data.domains=math", "data.domains: expected a list, found 'math' (text)"),
            ("data.domains=[]", "domains is empty"),
            ('data.domains=["math", "math"]', "names one twice"),
            ("data.generated={coding = 3}", "no generator for 'coding'"),
            ("data.generated_held_out={coding = 3}", "no generator for 'coding'"),
            ('lora.targets=["q", "x"]', "lora.targets.1: expected 'q', 'k'"),
            ("lora.targets=[]", "at least one projection"),
            ("evaluate.stages=[]", "at least one model"),
            ("grpo.minibatches=9", "rollout.prompts_per_step = 4"),
            ("name=../up", "name: expected letters, digits"),
            ('name="a\\n"', "name: expected letters, digits"),
            ("rollout.group_size=1", "rollout.group_size: expected greater than or equal to 2"),
            ("model=3", "model: expected a section"),
        ],
    )
    def test_wrong_values_say_expected_and_found(self, override: str, expected: str) -> None:
        assert f"r.toml: {expected}" in mistake(BASE, override) or expected in mistake(BASE, override)

    @pytest.mark.parametrize("override", ["grpo.max_steps", "=3", "grpo..max_steps=3", ".=3", ""])
    def test_an_override_that_is_none(self, override: str) -> None:
        assert "expected key=value" in mistake(BASE, override)

    def test_an_override_below_a_plain_value(self) -> None:
        assert "'name' is a value" in mistake(BASE, "name.x=1")

    def test_an_override_carries_one_key_only(self) -> None:
        assert "expected a whole number" in mistake(BASE, "grpo.max_steps=3\nname = 'other'")

    def test_bad_toml_gives_line_and_column(self) -> None:
        assert "r.toml is not valid TOML" in mistake("a = = 1")
        assert "line 1, column 5" in mistake("a = = 1")

    @pytest.mark.parametrize("depth", [150, 240, 300, 480, 100_000])
    def test_deep_nesting(self, depth: int) -> None:
        mistake(BASE + "x = " + "[" * depth + "]" * depth)
        mistake(BASE, "grpo.max_steps=" + "[" * depth + "]" * depth)

    def test_deep_keys(self) -> None:
        mistake(BASE, "a." * 5000 + "a=1")

    def test_long_values_are_shortened(self) -> None:
        assert "…" in mistake(BASE, "grpo.max_steps=" + "x" * 10_000)


class TestValues:
    def test_overrides_read_toml_then_text(self) -> None:
        recipe = parse_recipe_text(
            BASE, ["grpo.max_steps=20", "grpo.learning_rate=1e-4", "data.domains=['math']", "evaluate.split=train"]
        )
        assert recipe.grpo.max_steps == 20
        assert recipe.grpo.learning_rate == 1e-4
        assert recipe.data.domains == ("math",)
        assert recipe.evaluate.split == "train"

    def test_generated_tasks_come_with_held_out_ones(self) -> None:
        settings = ["data.generated={math = 9, logic = 9}", "data.generated_held_out.logic=0"]
        assert parse_recipe_text(BASE, settings).data.generated_held_out == {"math": 50, "logic": 0}
        assert parse_recipe_text(BASE, ["data.generated.math=0"]).data.generated_held_out == {}

    def test_later_overrides_win(self) -> None:
        assert parse_recipe_text(BASE, ["seed=1", "seed=2"]).seed == 2

    def test_a_model_by_name_is_its_source(self) -> None:
        recipe = parse_recipe_text(BASE, ["model.dtype=bfloat16"])
        assert (recipe.model.source, recipe.model.dtype) == ("tiny", "bfloat16")
        assert parse_recipe_text(BASE, ["model=gemma3-270m"]).model.source == "gemma3-270m"

    def test_a_value_may_hold_an_equals_sign(self) -> None:
        assert parse_recipe_text(BASE, ["model=./a=b"]).model.source == "./a=b"

    def test_whole_numbers_stand_for_numbers(self) -> None:
        assert parse_recipe_text(BASE, ["lora.alpha=16"]).lora.alpha == 16.0

    def test_recipes_are_frozen(self) -> None:
        recipe = parse_recipe_text(BASE)
        with pytest.raises(Exception, match="frozen"):
            recipe.grpo.max_steps = 3  # type: ignore[misc]

    def test_resolved_holds_every_field(self) -> None:
        resolved = parse_recipe_text(BASE).resolved()
        assert resolved.keys() == Recipe.model_fields.keys()
        assert resolved["grpo"]["inner_iterations"] == 1
        assert resolved["lora"]["targets"] == ["q", "k", "v", "o", "gate", "up", "down"]


class TestFiles:
    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"no recipe at .*starter, tiny"):
            load_recipe(tmp_path / "none.toml")

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="found a folder, pipe or device"):
            load_recipe(tmp_path)

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00n", bytes(range(128, 256))])
    def test_not_text(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "r.toml").write_bytes(content)
        with pytest.raises(UserError, match="is not UTF-8 text"):
            load_recipe(tmp_path / "r.toml")

    def test_nul_bytes(self, tmp_path: Path) -> None:
        (tmp_path / "r.toml").write_bytes(b"\0" * 100)
        with pytest.raises(UserError, match="not valid TOML"):
            load_recipe(tmp_path / "r.toml")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "r.toml").write_bytes(b"")
        with pytest.raises(UserError, match="missing key 'name'"):
            load_recipe(tmp_path / "r.toml")

    def test_byte_order_mark_and_windows_line_ends(self, tmp_path: Path) -> None:
        (tmp_path / "r.toml").write_bytes(b"\xef\xbb\xbf" + BASE.replace("\n", "\r\n").encode())
        assert load_recipe(tmp_path / "r.toml").name == "r"

    def test_an_endless_file_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        big = tmp_path / "r.toml"
        with big.open("wb") as file:
            file.truncate(1 << 40)  # sparse
        with pytest.raises(UserError, match=f"larger than {MAX_RECIPE_BYTES >> 20} MiB"):
            load_recipe(big)

    def test_a_pipe_is_refused(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UserError, match="found a folder, pipe or device"):
            load_recipe(tmp_path / "pipe")
