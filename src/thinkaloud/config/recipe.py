"""The fields of a recipe: units in the names, defaults from the original write-up (design, section 6).

Every section is frozen and refuses unknown keys. Cross-field rules are validators that name the conflict, the reason
and the alternative.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from thinkaloud.config.sources import KNOWN_SOURCES
from thinkaloud.errors import nearest
from thinkaloud.records import DOMAINS

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
HeldOutShare = Annotated[float, Field(ge=0.0, le=0.5, allow_inf_nan=False)]
NotNegativeFloat = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Target = Literal["q", "k", "v", "o", "gate", "up", "down"]


class Section(BaseModel):
    """Frozen; unknown keys and silently converted types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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


class SourceConfig(Section):
    """One source of tasks; an empty table takes everything as its adapter has it.

    A source that is not known by name is the user's own: it says `path`, `domain` and which columns hold what.
    """

    path: str | None = None
    """A file (.jsonl, .jsonl.gz, .parquet, .csv) or a folder of splits, read instead of the hub or of `data.dir`."""
    revision: str | None = None
    """Commit or tag on the hub; its newest when absent."""
    splits: tuple[str, ...] = ()
    """Which of the source's own splits are read; those of its adapter when absent. Its test rows never train."""
    cap: NotNegative | None = None
    """Training tasks to keep at most, in each domain of the source; the adapter's when absent, 0 for no cap."""
    optional: bool = False
    """True: a source that cannot be had is noted and left out; else it fails the build."""
    domain: str | None = None
    """Own source: the domain of its tasks, one of the seven or a new name."""
    scored_as: str | None = None
    """Own source with a new domain: the domain whose verifier scores it."""
    question: str = "question"
    """Own source: the column of the question."""
    answer: str = "answer"
    """Own source: the column of the gold answer."""
    rationale: str | None = None
    """Own source: the column of a short rationale, for the cold start."""
    choices: str | None = None
    """Own source: the column of the options (a list), which are then shown with the question."""
    tests: str | None = None
    """Own source: the column of the tests (a list of assertions), for coding."""
    setup: str | None = None
    """Own source: the column of code that runs before the tests."""
    license: str = ""
    """Own source: its licence, for the record."""


class DataConfig(Section):
    """Which tasks there are."""

    sources: dict[str, SourceConfig] = Field(default_factory=lambda: {"starter": SourceConfig()})
    """By name; `starter` are the tasks that ship in the package, `thinkaloud data --help` lists the others."""
    dir: str | None = None
    """A folder that holds the sources as NAME/SPLIT.jsonl, .jsonl.gz or .parquet; absent, they come from the hub."""
    domains: tuple[str, ...] = ()
    """Tasks of other domains are left out; all that the sources have when absent."""
    generated: dict[str, NotNegative] = Field(default_factory=dict)
    """Extra training tasks made by the procedural generators: `{math = 100, logic = 50}`."""
    validation_share: HeldOutShare = 0.05
    """Of the tasks that their source does not hold out itself, by a hash of the question."""
    test_share: HeldOutShare = 0.05
    """The same, for the test split."""
    near_duplicates: Share = 0.8
    """Tasks of one domain whose shingles overlap this much (Jaccard) count as one; 0 looks for exact copies only."""
    evaluation_sets: tuple[str, ...] = ()
    """Sets that no training task may share 13 words in a row with: `NAME`, `NAME:SPLIT`, or a file with questions."""

    @model_validator(mode="before")
    @classmethod
    def _domains_of_sources(cls, values: Any) -> Any:
        """Without `domains`, those of the sources, in the order of every table, new ones last."""
        if not isinstance(values, dict) or "domains" in values:
            return values
        sources = values.get("sources", {"starter": {}})
        if not isinstance(sources, dict):
            return values
        named = [known for name in sources for known in KNOWN_SOURCES.get(name, ())]
        for source in sources.values():
            own_name = source.get("domain") if isinstance(source, dict) else getattr(source, "domain", None)
            named += [own_name] if isinstance(own_name, str) else []
        own = [name for name in dict.fromkeys(named) if name not in DOMAINS]
        return {**values, "domains": (*(name for name in DOMAINS if name in named), *own)}

    @model_validator(mode="after")
    def _known(self) -> DataConfig:
        if not self.sources:
            raise ValueError("sources is empty: name at least one, such as sources = { starter = {} }")
        for name, source in self.sources.items():
            _check_source(name, source)
        if not self.domains:
            raise ValueError("domains is empty: name at least one of " + ", ".join(DOMAINS))
        if len(set(self.domains)) != len(self.domains):
            raise ValueError("domains names one twice; each may stand once")
        for name in self.generated:
            if name not in ("math", "logic"):
                raise ValueError(f"there is no generator for {name!r} (there are: math, logic)")
            if name not in self.domains:
                raise ValueError(f"generated names {name!r}, which domains leaves out; add it there or drop it here")
        if self.validation_share + self.test_share > 0.9:
            raise ValueError(
                f"validation_share + test_share is {self.validation_share + self.test_share}, which leaves next to "
                "nothing to train on; 0.05 each is usual"
            )
        return self


def _check_source(name: str, source: SourceConfig) -> None:
    """Raises ValueError where a source is neither known nor one of the user's own that says all it must."""
    if name in KNOWN_SOURCES:
        if source.domain or source.scored_as:
            raise ValueError(f"sources.{name}: a known source has its own domain; leave domain and scored_as out")
        return
    if not source.path:
        raise ValueError(
            f"sources.{name}: not a known source{nearest(name, KNOWN_SOURCES)}; a source of your own needs path and "
            "domain"
        )
    if not source.domain:
        raise ValueError(
            f"sources.{name}: a source of your own needs domain, one of {', '.join(DOMAINS)} or a new name"
        )
    scored_as = source.scored_as or source.domain
    if scored_as not in DOMAINS:
        raise ValueError(
            f"sources.{name}: {source.domain!r} is a domain of your own; say with scored_as whose verifier scores it, "
            f"one of {', '.join(DOMAINS)}"
        )


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


class JudgeConfig(Section):
    """A language model that marks creative answers, at an OpenAI-compatible endpoint; off without `base_url`.

    The key is never written here: `api_key_env` names the environment variable that holds it.
    """

    base_url: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9._:\[\]-]+(/[!-\"$->A-~]*)?)?$")] = ""
    """What stands before /chat/completions, such as https://api.example.com/v1 or http://127.0.0.1:8000/v1."""
    model: str = ""
    """The judge's name at the endpoint."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None
    """The name (in capitals) of an environment variable that holds the key; no key is sent when absent."""
    reward_share: Share = 0.0
    """Share of the judge's mark in the domain score of GRPO's rewards, the heuristics have the rest; 0: the judge
    is asked in evaluation only."""
    timeout_seconds: PositiveFloat = 60.0
    """Until a reply has come in full."""
    max_retries: NotNegative = 4
    """After a time-out, a refusal for load (429), a failure of the server (5xx), or a reply that is no mark."""
    concurrency: Positive = 4
    """Requests at once."""
    max_reply_tokens: Positive = 1024
    """A reply's limit; a mark takes thirty, a judge that thinks aloud needs more."""
    max_calls: Positive | None = None
    """Requests in the life of a run directory, retries and resumed sessions included; no limit when absent."""
    max_tokens: Positive | None = None
    """Tokens in the life of a run directory, prompts included, as the endpoint counts them; no limit when absent."""
    pause_after: Positive = 5
    """Requests that fail in a row before the judge is left alone for a while."""

    @property
    def on(self) -> bool:
        """Whether there is a judge."""
        return bool(self.base_url)

    @model_validator(mode="after")
    def _whole(self) -> JudgeConfig:
        try:
            _ = urlsplit(self.base_url).port
        except ValueError:
            raise ValueError("base_url is no address: write it as http://127.0.0.1:8000/v1") from None
        if self.base_url and not self.model:
            raise ValueError("base_url is set, but model is empty: name the model that the endpoint is to ask")
        if self.reward_share and not self.base_url:
            raise ValueError(
                f"reward_share is {self.reward_share}, but there is no judge: set base_url, or leave reward_share out"
            )
        return self


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

    faithful: bool = False
    """True leaves what Tunix 0.1.7 does wrong as it is, for comparisons."""
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
