"""The fields of a recipe: units in the names, defaults by what was measured (docs/log.md) or is usual now.

`recipes/original.toml` has the settings of the original write-up.

Every section is frozen and rejects unknown keys. Rules across fields are validators that name the conflict, the reason
and the alternative. The larger sections have their own modules, such as `data.py` and `judge.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from thinkaloud.config.cold_start import ColdStartConfig
from thinkaloud.config.curriculum import CurriculumConfig
from thinkaloud.config.data import DataConfig
from thinkaloud.config.domains import DomainConfig
from thinkaloud.config.judge import JudgeConfig
from thinkaloud.config.section import (
    Decay,
    NotNegative,
    NotNegativeFloat,
    Positive,
    PositiveFloat,
    Rank,
    Rate,
    Section,
    Seed,
    Share,
    Target,
)
from thinkaloud.config.teacher import TeacherConfig
from thinkaloud.config.vllm import VllmConfig

VLLM_COLDEST, VLLM_RANK = 0.01, 512
"""The lowest temperature that vLLM samples at, and the largest rank that it serves (0.32)."""


class ModelSource(Section):
    """Where the base model comes from."""

    source: str = Field(min_length=1)
    """A known name (`smollm2-135m`, `gemma3-270m`, `gemma3-1b`, `tiny`), a directory, a .gguf file, `hub:org/name`."""
    adapter: Annotated[str, Field(min_length=1)] | None = None
    """A LoRA adapter in PEFT's format (a folder, or `hub:org/name`), merged into the base first."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Dtype of the frozen base; adapters are always float32. `auto`: bfloat16 on TPUs, on GPUs from compute capability
    8.0 and on CPUs with AMX or AVX-512 BF16, float16 on older GPUs, float32 on other CPUs. Sampler and trainer agree
    most closely in float32."""
    rematerialization: Literal["auto", "selective", "full"] = "auto"
    """What the backward pass of training computes again: all but matrix products, or every layer as a whole. `full`
    needs a fraction of the memory and more time (docs/accelerators.md); `auto` takes it where one prompt with its
    completions does not fit otherwise."""
    frame: Literal["auto", "gemma", "gemma_base", "smollm2", "chatml"] = "auto"
    """The chat template of the prompt contract; `auto` is the model's own, `gemma_base` ends replies with `<eos>`."""


class PromptConfig(Section):
    """The prompt contract (docs/design.md)."""

    variant: Literal["default", "original"] = "default"
    """`original`: the original write-up's prompt verbatim, without the line feed at the start of the model's turn."""
    outside_text: Literal["reject", "allow"] = "reject"
    """Whether a completion with text before, between or after the tags is well-formed."""


class MixtureConfig(Section):
    """P(domain) proportional to count ** exponent: 1 is the natural mix, 0 is uniform, above 1 the largest prevail."""

    exponent: Annotated[float, Field(ge=0, le=4)] = 0.5
    """From 0 to 4."""


class LoraConfig(Section):
    """LoRA (arXiv 2106.09685): W + (alpha / rank) A B, A normal, B zero; always float32."""

    rank: Rank = 16
    """r: columns of A, rows of B."""
    alpha: PositiveFloat = 32.0
    """Numerator of the scale."""
    targets: tuple[Target, ...] = ("q", "k", "v", "o", "gate", "up", "down")
    """Projections of attention (q, k, v, o) and of the MLP (gate, up, down)."""

    @model_validator(mode="after")
    def _some_targets(self) -> LoraConfig:
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError("targets must name at least one projection, and each once: q, k, v, o, gate, up, down")
        return self


class RolloutConfig(Section):
    """How groups of completions are sampled."""

    engine: Literal["jax", "vllm"] = "jax"
    """What samples them: this package on its own devices, or a vLLM server (`docs/vllm.md`)."""
    prompts_per_step: Positive = 4
    """Groups per step."""
    group_size: Annotated[int, Field(ge=2, le=65_536)] = 8
    """Completions per prompt."""
    max_prompt_tokens: Positive = 1024
    """Tasks with a longer prompt, chat template included, are dropped."""
    max_new_tokens: Positive = 512
    """Tokens per completion, the end-of-turn token included; longer completions are truncated."""
    temperature: PositiveFloat = 1.0
    """Divides the logits, both in sampling and in the ratio."""
    top_p: Rate = 1.0
    """Nucleus sampling, applied after top-k; 1 keeps every token."""
    top_k: NotNegative = 0
    """0 keeps every token."""


class RewardConfig(Section):
    """How completions are scored (docs/design.md)."""

    control: Literal["none", "random", "format"] = "none"
    """What GRPO learns from instead of the reward, for a run that others are compared with (`rewards/learned.py`):
    `random` shuffles the rewards of a step, `format` pays 1 for a valid format. Metrics, validation and evaluation keep
    the true scores."""
    answers: Literal["graded", "binary"] = "graded"
    """What GRPO learns from in domains with a verifier: 0.2 for the format and up to 0.8 for the answer, or 1 for a
    correct answer in a valid format and 0 otherwise."""
    overlong_tokens: NotNegative = 0
    """Over so many tokens before the token limit, what GRPO learns from falls linearly, by 1 in all; 0: no penalty."""
    truncated: Literal["penalize", "mask"] = "penalize"
    """Whether a completion cut off at the token limit earns 0 or is masked out of the loss."""
    creative: Literal["guarded", "original"] = "guarded"
    """How the heuristic domains are scored: with guards against reward hacking, or by the original's plain formulas for
    comparison (`thinkaloud audit --rewards` shows the hacks that beat those)."""
    allow_unsandboxed: bool = False
    """Run model-written code even where the sandbox is not available."""
    sandbox_workers: NotNegative = 0
    """Processes that run code; 0: one per core."""


class GrpoConfig(Section):
    """GRPO (arXiv 2402.03300) and its named variants."""

    max_steps: NotNegative = 100
    """GRPO steps; 0 skips the stage."""
    refill_rounds: NotNegative = 2
    """How often a step samples other tasks in place of groups without signal; 0 trains on what was sampled first."""
    informative_groups: Positive | None = None
    """Groups with signal that are enough for a step: no further round then; `rollout.prompts_per_step` when absent."""
    inner_iterations: Positive = 1
    """Passes over the completions of a step."""
    minibatches: Positive = 1
    """Updates per inner iteration, each on a part of the step's prompts."""
    beta: NotNegativeFloat = 0.0
    """Weight of the KL penalty (k3) towards the policy at the start of GRPO; 0 skips the reference pass."""
    epsilon: Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)] = 0.2
    """The ratio is clipped to 1 - epsilon ... 1 + epsilon."""
    epsilon_high: PositiveFloat | None = 0.28
    """The upper clip bound (DAPO, arXiv 2503.14476); null, as in runs of version 0.1, is the same as epsilon."""
    clip: Literal["ppo", "cispo"] = "ppo"
    """`ppo` drops the gradient of clipped tokens. `cispo` keeps it: the ratio is a constant weight, clipped above only
    (MiniMax-M1, arXiv 2506.13585)."""
    importance_cap: NotNegativeFloat = 2.0
    """Each token's loss is multiplied by its probability before the update over the one it was sampled with, at most
    this: top-k, top-p and rounding make them differ. 0 for no correction."""
    ratio: Literal["token", "sequence"] = "token"
    """`sequence`: the length-normalised sequence ratio of GSPO (arXiv 2507.18071)."""
    loss: Literal["sequence_mean", "token_mean", "constant_length"] = "sequence_mean"
    """How token losses are aggregated: the mean over completions of their token means (the paper), the mean over all
    tokens (DAPO), or sums divided by max_new_tokens (Dr. GRPO)."""
    scale_by_std: bool = True
    """False skips the division by the group's standard deviation (Dr. GRPO, arXiv 2503.20783)."""
    learning_rate: PositiveFloat | Literal["auto"] = "auto"
    """Peak learning rate of the adapter; `auto` chooses it by the model's parameters and LoRA's rank and alpha: 1e-4 at
    135 million with rank 16 (`train/learning_rate.py`)."""
    warmup_fraction: Share = 0.1
    """Share of all updates over which the learning rate rises to its peak."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: cosine decay to nearly 0, or constant."""
    adam_b1: Decay = 0.9
    """AdamW's decay rate of the first moment."""
    adam_b2: Decay = 0.99
    """AdamW's decay rate of the second moment."""
    weight_decay: NotNegativeFloat = 0.0
    """Decoupled weight decay, multiplied by the learning rate."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this global norm."""
    entropy_floor: NotNegativeFloat = 0.0
    """Nats per token. While the policy's entropy is below it, the loss has a bonus for entropy, whose weight grows by
    `entropy_step` a step, and shrinks by it above the floor (Skywork-OR1, arXiv 2505.22312); 0 for no bonus."""
    entropy_step: PositiveFloat = 0.005
    """Change of the bonus's weight per step."""
    not_finite: Literal["restore", "stop"] = "restore"
    """After three consecutive steps with a non-finite gradient: return to the last good checkpoint with half the
    learning rate (at most three times), or stop."""
    self_checks: bool = True
    """Stop after the first step where it cannot lead to learning: no reward at all, gold answers without full marks, an
    adapter that did not move or is not sampled from."""
    zero_std_step_limit: Positive = 200
    """The run fails after this many consecutive steps without signal."""

    @property
    def updates_per_step(self) -> int:
        """Optimizer updates in a step."""
        return self.inner_iterations * self.minibatches


class EvaluateConfig(Section):
    """Greedy decoding on held-out tasks."""

    split: Literal["validation", "test", "train"] = "test"
    """The split of the tasks."""
    tasks: dict[str, Positive] = Field(default_factory=dict)
    """Other numbers than `tasks_per_domain` for some domains: `{math = 200}`."""
    tasks_per_domain: Positive = 10
    """The most tasks of each domain; its sources take turns, each with its first tasks."""
    max_new_tokens: Positive | None = None
    """The rollout's limit when absent."""
    batch_size: Positive = 32
    """Prompts decoded at once; fewer where so many do not fit into the device's memory."""
    stages: tuple[Literal["base", "cold_start", "trained"], ...] = ("base", "cold_start", "trained")
    """Which models `train` evaluates."""
    readings: tuple[Literal["plain", "example"], ...] = ("plain", "example")
    """How else the base is asked, beside the contract: `plain`, the question alone in the model's chat form; `example`,
    the contract after one worked example. The trained model is compared with the best of them."""

    def wanted(self, domain: str) -> int:
        """The number of tasks of a domain."""
        return self.tasks.get(domain, self.tasks_per_domain)

    @model_validator(mode="after")
    def _some_stages(self) -> EvaluateConfig:
        if not self.stages or len(set(self.stages)) != len(self.stages):
            raise ValueError("stages must name at least one model, and each once: base, cold_start, trained")
        if len(set(self.readings)) != len(self.readings):
            raise ValueError("readings must name each way once: plain, example")
        return self


class MeshConfig(Section):
    """Devices along each axis. Without any of them, or with `mesh = "auto"`, all devices of a process are used, and
    the axes are chosen by memory; otherwise an axis that is left out is 1."""

    data: Positive | None = None
    """Data parallelism: copies of the weights, each with its share of the prompts; spread over processes first."""
    fsdp: Positive | None = None
    """Devices that share one copy of the weights and its prompts."""
    tensor: Positive | None = None
    """Tensor parallelism: devices that share the attention heads and the MLP's width."""

    def sizes(self) -> dict[str, int]:
        """Devices by axis; {} for all devices, with axes chosen by memory."""
        given = {"data": self.data, "fsdp": self.fsdp, "tensor": self.tensor}
        return {axis: size or 1 for axis, size in given.items()} if any(given.values()) else {}


class TunixConfig(Section):
    """Settings of the engine Tunix (`docs/tunix.md`)."""

    rollout: Literal["vanilla", "vllm", "sglang_jax"] = "vanilla"
    """Tunix's own sampler, or one of its other rollout engines."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further fields of Tunix's `RolloutConfig`, such as `rollout_vllm_hbm_utilization`; passed on unchanged."""
    micro_batch_prompts: NotNegative = 0
    """Prompts per micro-batch of the update; 0 for all of a mini-batch."""


class CheckpointConfig(Section):
    """When training state is saved."""

    every_steps: Positive = 10
    """Steps between checkpoints; the last step of a stage is always saved."""
    keep: Positive = 2
    """How many of the newest checkpoints of each stage are kept, besides the best by validation."""
    validate_every: NotNegative = 20
    """GRPO steps between validations (greedy, each with a checkpoint; the last step is validated too); 0 for none. None
    are made where the pool has no validation tasks."""
    validate_tasks: Positive = 4
    """Validation tasks per domain."""
    use: Literal["newest", "best"] = "best"
    """Which GRPO checkpoint is the trained model: the newest, or the best by validation (the newest without one)."""


class Recipe(Section):
    """One run: model, data, prompt, cold start, GRPO, evaluation."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run directory, runs/NAME, unless --out names another."""
    seed: Seed = 0
    """All other seeds are derived from it."""
    engine: Literal["thinkaloud", "tunix"] = "thinkaloud"
    """What runs GRPO: this package, or Tunix's `GRPOLearner` (needs the extra `tunix`)."""
    model: ModelSource
    """Where the weights come from; a plain string is its `source`."""
    data: DataConfig = DataConfig()
    domains: dict[str, DomainConfig] = Field(default_factory=dict)
    """Domains of your own, by name."""
    prompt: PromptConfig = PromptConfig()
    mixture: MixtureConfig = MixtureConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    lora: LoraConfig = LoraConfig()
    cold_start: ColdStartConfig = ColdStartConfig()
    rollout: RolloutConfig = RolloutConfig()
    rewards: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    grpo: GrpoConfig = GrpoConfig()
    teacher: TeacherConfig = TeacherConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    mesh: MeshConfig = MeshConfig()
    tunix: TunixConfig = TunixConfig()
    vllm: VllmConfig = VllmConfig()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, values: Any) -> Any:
        """`model = "gemma3-270m"` is short for `[model] source = "gemma3-270m"`, `mesh = "auto"` for `[mesh]`."""
        if isinstance(values, dict) and isinstance(values.get("model"), str):
            values = {**values, "model": {"source": values["model"]}}
        if isinstance(values, dict) and values.get("mesh") == "auto":
            values = {**values, "mesh": {}}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.grpo.minibatches > self.rollout.prompts_per_step:
            raise ValueError(
                f"grpo.minibatches is {self.grpo.minibatches}, but a step has only rollout.prompts_per_step = "
                f"{self.rollout.prompts_per_step} prompts and groups are never split; change one of them"
            )
        if self.tunix != TunixConfig() and self.engine != "tunix":
            raise ValueError('[tunix] is set, but engine is "thinkaloud"; set engine = "tunix" or remove [tunix]')
        if self.vllm != VllmConfig() and self.rollout.engine != "vllm":
            raise ValueError('[vllm] is set, but rollout.engine is "jax"; set rollout.engine = "vllm" or remove [vllm]')
        if self.rollout.engine == "vllm":
            self._fits_vllm()
        shaped = self.rewards.model_dump(include={"control", "answers", "overlong_tokens"}, exclude_defaults=True)
        if shaped and self.engine != "thinkaloud":
            raise ValueError(
                f"{', '.join(f'rewards.{name}' for name in shaped)} is set, which the engine tunix does not support; "
                'set engine = "thinkaloud"'
            )
        if self.teacher.source and self.engine != "thinkaloud":
            raise ValueError('[teacher] is set, which the engine tunix does not support; set engine = "thinkaloud"')
        if self.rewards.overlong_tokens > self.rollout.max_new_tokens:
            raise ValueError(
                f"rewards.overlong_tokens is {self.rewards.overlong_tokens}, more than rollout.max_new_tokens = "
                f"{self.rollout.max_new_tokens}; a quarter of it is usual"
            )
        if unknown := [name for name in self.evaluate.tasks if name not in self.data.domains]:
            raise ValueError(
                f"evaluate.tasks names {', '.join(unknown)}, which data.domains leaves out (it has "
                f"{', '.join(self.data.domains)})"
            )
        return self

    def _fits_vllm(self) -> None:
        if self.engine != "thinkaloud":
            raise ValueError(
                'rollout.engine = "vllm" is set, which the engine tunix does not support; set tunix.rollout = "vllm" '
                'or engine = "thinkaloud"'
            )
        if self.rollout.temperature < VLLM_COLDEST:
            raise ValueError(
                f"rollout.temperature is {self.rollout.temperature}, but vLLM raises what is below {VLLM_COLDEST}; "
                "use that or more"
            )
        if self.lora.rank > VLLM_RANK:
            raise ValueError(f"lora.rank is {self.lora.rank}, but vLLM serves at most {VLLM_RANK}; lower it")

    @property
    def mesh_sizes(self) -> dict[str, int]:
        """See `MeshConfig.sizes`; Tunix uses one device where the recipe names no mesh."""
        return self.mesh.sizes() or ({"data": 1} if self.engine == "tunix" else {})

    @property
    def data_seed(self) -> int:
        """The seed of the pool: `data.seed`, or the recipe's own."""
        return self.seed if self.data.seed is None else self.data.seed

    def resolved(self) -> dict[str, Any]:
        """Every field with its value, defaults included: JSON-ready."""
        return self.model_dump(mode="json")
