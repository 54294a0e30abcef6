"""transformers and peft load the exports and do as thinkaloud does: ids, greedy tokens, logits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.tiny_runs import QUESTIONS
from thinkaloud.fetch.models import resolve_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import load_tokenizer
from thinkaloud.rollout.generate import generate
from thinkaloud.rollout.sampling import GREEDY
from thinkaloud.session.run import open_run, stage_adapter

if TYPE_CHECKING:
    from conftest import Tiny

torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")

LIMIT = 24


def prompts(tokenizer: Any) -> list[list[int]]:
    return [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        for question in QUESTIONS
    ]


def hf_model(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(model: Any, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def test_the_chat_template_gives_the_contract_s_ids(tiny: Tiny) -> None:
    folder = tiny.export("hf", "float32")
    contract = PromptContract.load(folder / "contract.json", load_tokenizer(resolve_model(str(folder))))
    found = prompts(transformers.AutoTokenizer.from_pretrained(folder))
    assert len(found) == 50
    assert found == [contract.encode(question) for question in QUESTIONS]


def test_the_adapter_s_folder_gives_them_too(tiny: Tiny) -> None:
    merged, adapter = tiny.export("hf", "float32"), tiny.export("peft", "float32")
    tokenizers = [transformers.AutoTokenizer.from_pretrained(folder) for folder in (merged, adapter)]
    assert prompts(tokenizers[1]) == prompts(tokenizers[0])


def test_the_same_greedy_tokens(tiny: Tiny) -> None:
    folder = tiny.export("hf", "float32")
    model, tokenizer = hf_model(folder), transformers.AutoTokenizer.from_pretrained(folder)
    session, run = open_run(tiny.run)
    policy = session.load_policy()
    expected = generate(
        policy.model,
        stage_adapter(session, run, policy, "trained"),
        [session.contract.encode(question) for question in QUESTIONS],
        group_size=1,
        max_new_tokens=LIMIT,
        sampling=GREEDY,
        stop_ids=session.contract.stop_ids,
        seed=0,
        scale=policy.scale,
        batch_prompts=16,
    )
    found = []
    for ids in prompts(tokenizer):
        with torch.no_grad():
            whole = model.generate(torch.tensor([ids]))  # length and stop tokens come from generation_config.json
        found.append(tuple(whole[0, len(ids) :].tolist()))
    assert found == [group[0].token_ids for group in expected]
    assert len(set(found)) > 25  # the prompts matter


def test_bfloat16_is_the_merge_rounded_once(tiny: Tiny) -> None:
    wide, narrow = hf_model(tiny.export("hf", "float32")), hf_model(tiny.export("hf", "bfloat16"))
    for (name, exact), (_, rounded) in zip(wide.named_parameters(), narrow.named_parameters(), strict=True):
        assert torch.equal(exact.to(torch.bfloat16).float(), rounded), name


def test_stop_tokens(tiny: Tiny) -> None:
    folder = tiny.export("hf", "float32")
    contract = PromptContract.load(folder / "contract.json", load_tokenizer(resolve_model(str(folder))))
    settings = transformers.GenerationConfig.from_pretrained(folder)
    assert settings.eos_token_id == list(contract.stop_ids)
    assert settings.do_sample is False


def test_peft_on_the_stock_base(tiny: Tiny) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed; make test-peers has it")
    merged = hf_model(tiny.export("hf", "float32"))
    base = hf_model(tiny.base)
    ids = prompts(transformers.AutoTokenizer.from_pretrained(tiny.export("hf", "float32")))[0]
    bare = logits(base, ids)
    adapted = peft.PeftModel.from_pretrained(base, tiny.export("peft", "float32")).eval()
    expected = logits(merged, ids)
    assert np.abs(logits(adapted, ids) - expected).max() < 1e-3
    assert np.abs(bare - expected).max() > 0.1  # the adapter does something
    state = peft.get_peft_model_state_dict(adapted)
    assert len(state) == 2 * 7 * merged.config.num_hidden_layers  # A and B of seven projections: nothing was left out
