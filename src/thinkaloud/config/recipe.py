"""The fields of a recipe: units in the names, defaults from the original write-up (design, section 6).

Every section is frozen and refuses unknown keys. Cross-field rules are validators that name the conflict, the reason
and the alternative. The sections with rules of their own stand beside this file: `data.py` and `judge.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from thinkaloud.config.data import DataConfig
from thinkaloud.config.domains import DomainConfig
from thinkaloud.config.judge import JudgeConfig
from thinkaloud.config.section import (
    Decay,
    NotNegative,
    NotNegativeFloat,
    Positive,
    PositiveFloat,
    Rate,
    Section,
    Share,
    Target,
)


class ModelSource(Section):
    """Where the base model comes from."""

    source: str = Field(min_length=1)
    """A known name (`smollm2-135m`, `gemma3-270m`, `gemma3-1b`, `tiny`), a directory, a .gguf file, `hub:org/name`."""
    adapter: Annotated[str, Field(min_length=1)] | None = None
    """A LoRA adapter that `peft` wrote (a folder, or `hub:org/name`), merged into the base before anything else."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen base; `auto` is float32 on a CPU and bfloat16 elsewhere. Adapters are always float32. On processors
    with AVX-512 BF16 or AMX bfloat16 is faster, and sampler and trainer agree less."""
    frame: Literal["auto", "gemma", "gemma_base", "smollm2", "chatml"] = "auto"
    """The chat frame of the prompt contract; `auto` takes the model's own, `gemma_base` ends replies on `<eos>`."""


class PromptConfig(Section):
    """The prompt contract (design, section 3)."""

    variant: Literal["default", "original"] = "default"
    """`original`: the original write-up's prompt verbatim, without the line feed after the model's turn begins."""
    outside_text: Literal["reject", "allow"] = "reject"
    """Whether a completion with text before, between or after the tags is well-formed."""


class MixtureConfig(Section):
    """P(domain) proportional to count ** exponent: 1 keeps the natural mix, 0 is uniform."""

    exponent: Share = 0.5
    """From 0 to 1."""


class LoraConfig(Section):
    """LoRA (arXiv 2106.09685): W + (alpha / rank) A B, A normal, B zero; always float32."""

    rank: Positive = 16
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


class ColdStartConfig(Section):
    """A short supervised stage on rationales in the contract's format; `max_steps = 0` leaves it out."""

    max_steps: NotNegative = 0
    """Optimizer updates at most; a satisfied probe ends the stage earlier."""
    batch_size: Positive = 8
    """Rationales an update."""
    learning_rate: PositiveFloat = 1e-3
    """Constant after the warm-up (AdamW 0.9, 0.99, no weight decay, gradient norm 1)."""
    warmup_steps: NotNegative = 2
    """Updates over which the learning rate rises to its value."""
    stop_at_format_rate: Rate = 0.7
    """Stop as soon as the sampled format rate of a probe reaches this; too far, and groups have no signal left."""
    probe_every: Positive = 4
    """Steps between probes."""
    probe_from: Positive = 4
    """The first step after which a probe is taken."""
    probe_tasks: Positive = 28
    """Training tasks a probe samples one completion of."""


class RolloutConfig(Section):
    """How groups of completions are sampled."""

    prompts_per_step: Positive = 4
    """Groups a step."""
    group_size: Annotated[int, Field(ge=2)] = 4
    """Completions a prompt."""
    max_prompt_tokens: Positive = 1024
    """Tasks with a longer prompt, frame included, are dropped whole."""
    max_new_tokens: Positive = 512
    """Tokens a completion, the end-of-turn token included; one that gets no further is truncated."""
    temperature: PositiveFloat = 0.7
    """Divides the logits, in sampling and in the ratio alike."""
    top_p: Rate = 0.95
    """Share of probability that is sampled from, of what top-k left; 1 keeps every token."""
    top_k: NotNegative = 50
    """0 keeps every token."""


class RewardConfig(Section):
    """How completions are paid (design, section 4)."""

    truncated: Literal["penalize", "mask"] = "penalize"
    """A completion cut at the token limit earns 0, or is left out of the loss."""
    creative: Literal["guarded", "original"] = "guarded"
    """How the graded domains are measured: guarded against text made for the measure, or by the original's plain
    formulas, for comparison (`thinkaloud audit --rewards` shows which hacks beat those)."""
    allow_unsandboxed: bool = False
    """Run model-written code even where the machine cannot contain it."""
    sandbox_workers: NotNegative = 0
    """Processes that run code; 0: as many as cores."""


class GrpoConfig(Section):
    """GRPO (arXiv 2402.03300) and its named variants."""

    max_steps: NotNegative = 100
    """Rollouts; 0 leaves the stage out."""
    inner_iterations: Positive = 4
    """Passes over the completions of a step."""
    minibatches: Positive = 1
    """Into how many updates a step's prompts are split, each inner iteration."""
    beta: NotNegativeFloat = 0.04
    """Weight of the KL penalty (k3) towards the policy as GRPO begins; 0 leaves out its pass altogether."""
    epsilon: Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)] = 0.2
    """The ratio is clipped to 1 - epsilon ... 1 + epsilon."""
    epsilon_high: PositiveFloat | None = None
    """The upper clip bound (DAPO, arXiv 2503.14476); the same as epsilon when absent."""
    ratio: Literal["token", "sequence"] = "token"
    """`sequence`: the length-normalised sequence ratio of GSPO (arXiv 2507.18071)."""
    loss: Literal["sequence_mean", "token_mean", "constant_length"] = "sequence_mean"
    """How token losses are added up: mean of the means of completions (the paper), of all tokens (DAPO), or sums over
    max_new_tokens (Dr. GRPO)."""
    scale_by_std: bool = True
    """False leaves out the division by the group's deviation (Dr. GRPO, arXiv 2503.20783)."""
    learning_rate: PositiveFloat = 3e-6
    """Of the adapter, at its peak."""
    warmup_fraction: Share = 0.1
    """Share of all updates over which the learning rate rises to its peak."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: decay to nearly 0 over the rest, or none."""
    adam_b1: Decay = 0.9
    """AdamW's decay of the mean gradient."""
    adam_b2: Decay = 0.99
    """AdamW's decay of the mean squared gradient."""
    weight_decay: NotNegativeFloat = 0.1
    """Decoupled, times the learning rate."""
    max_grad_norm: PositiveFloat = 0.1
    """Global norm that gradients are clipped to."""
    not_finite: Literal["restore", "stop"] = "restore"
    """After three steps in a row whose gradient was not finite: go back to the last good checkpoint at half the
    learning rate (three times at most), or stop."""
    dead_step_limit: Positive = 200
    """So many steps in a row without any signal end the run with an error."""


class EvaluateConfig(Section):
    """Greedy decoding on held-out tasks."""

    split: Literal["validation", "test", "train"] = "test"
    """Tasks of which split."""
    tasks_per_domain: Positive = 10
    """The first so many of each domain; all where there are fewer."""
    max_new_tokens: Positive | None = None
    """The rollout's limit when absent."""
    batch_size: Positive = 32
    """Prompts decoded at once."""
    stages: tuple[Literal["base", "cold_start", "trained"], ...] = ("base", "cold_start", "trained")
    """Which models `train` evaluates."""

    @model_validator(mode="after")
    def _some_stages(self) -> EvaluateConfig:
        if not self.stages or len(set(self.stages)) != len(self.stages):
            raise ValueError("stages must name at least one model, and each once: base, cold_start, trained")
        return self


class MeshConfig(Section):
    """Devices along each axis; with all three at 1, as by default, one device does everything."""

    data: Positive = 1
    """Copies of the weights, each with its share of the prompts; spread over processes first."""
    fsdp: Positive = 1
    """Devices that share one copy of the weights, and its prompts."""
    tensor: Positive = 1
    """Devices that share heads and the MLP's width."""

    def sizes(self) -> dict[str, int]:
        """Devices by axis; {} where there is one."""
        sizes = {"data": self.data, "fsdp": self.fsdp, "tensor": self.tensor}
        return sizes if max(sizes.values()) > 1 else {}


class TunixConfig(Section):
    """How Tunix is set up where it is the engine (`docs/tunix.md`)."""

    rollout: Literal["vanilla", "vllm", "sglang_jax"] = "vanilla"
    """Tunix's own sampler, or one of the engines it drives."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further fields of Tunix's `RolloutConfig`, such as `rollout_vllm_hbm_utilization`; passed on as they are."""
    micro_batch_prompts: NotNegative = 0
    """Prompts whose completions go through the update at once; 0 for all of a mini-batch."""


class CheckpointConfig(Section):
    """When training state is saved."""

    every_steps: Positive = 10
    """Steps between checkpoints; the last step of a stage is always saved."""
    keep: Positive = 2
    """So many of the newest checkpoints of each stage stay, and the best by validation."""
    validate_every: NotNegative = 0
    """GRPO steps between validations (greedy, and a checkpoint each); 0 for none."""
    validate_tasks: Positive = 2
    """The first so many validation tasks of each domain."""
    use: Literal["newest", "best"] = "newest"
    """Which of GRPO's checkpoints is the trained model: the last step's, or the best by validation."""

    @model_validator(mode="after")
    def _best_is_known(self) -> CheckpointConfig:
        if self.use == "best" and not self.validate_every:
            raise ValueError(
                'checkpoint.use is "best", but nothing is validated; set checkpoint.validate_every, or use = "newest"'
            )
        return self


class Recipe(Section):
    """One run: model, data, prompt, cold start, GRPO, evaluation."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Of the run directory, runs/NAME, unless --out names another."""
    seed: NotNegative = 0
    """All other seeds are hashed from it."""
    engine: Literal["thinkaloud", "tunix"] = "thinkaloud"
    """What samples and updates in GRPO: this package, or Tunix's `GRPOLearner` (an extra of that name)."""
    model: ModelSource
    """Where the weights come from; a plain string is its `source`."""
    data: DataConfig = DataConfig()
    domains: dict[str, DomainConfig] = Field(default_factory=dict)
    """Domains of your own, by name."""
    prompt: PromptConfig = PromptConfig()
    mixture: MixtureConfig = MixtureConfig()
    lora: LoraConfig = LoraConfig()
    cold_start: ColdStartConfig = ColdStartConfig()
    rollout: RolloutConfig = RolloutConfig()
    rewards: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    grpo: GrpoConfig = GrpoConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    mesh: MeshConfig = MeshConfig()
    tunix: TunixConfig = TunixConfig()

    @model_validator(mode="before")
    @classmethod
    def _model_by_name(cls, values: Any) -> Any:
        """`model = "gemma3-270m"` is short for `[model] source = "gemma3-270m"`."""
        if isinstance(values, dict) and isinstance(values.get("model"), str):
            return {**values, "model": {"source": values["model"]}}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.grpo.minibatches > self.rollout.prompts_per_step:
            raise ValueError(
                f"grpo.minibatches is {self.grpo.minibatches}, but a step has only rollout.prompts_per_step = "
                f"{self.rollout.prompts_per_step} prompts, and a group is never split; lower the one or raise the other"
            )
        if self.tunix != TunixConfig() and self.engine != "tunix":
            raise ValueError(
                '[tunix] is set, but the engine is this package\'s own; set engine = "tunix" or leave it out'
            )
        parts = self.mesh.data * self.mesh.fsdp
        if self.rollout.prompts_per_step % parts:
            raise ValueError(
                f"rollout.prompts_per_step is {self.rollout.prompts_per_step}, which mesh.data * mesh.fsdp = {parts} "
                "does not divide: each device takes as many prompts as the others; change one of them"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """Every field with its value, defaults included: JSON-ready."""
        return self.model_dump(mode="json")
