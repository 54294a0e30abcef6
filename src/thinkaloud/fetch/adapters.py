"""PEFT adapters: their files, and the base model they were made for."""

from __future__ import annotations

import json
from pathlib import Path

from thinkaloud.errors import UserError
from thinkaloud.fetch.hub import HUB_NAME, snapshot


def resolve_adapter(source: str) -> Path:
    """The `adapter_model.safetensors` of a PEFT adapter.

    Args:
        source: A folder that peft wrote, or `[hub:]org/name[@revision]`.

    Raises:
        UserError: There is no adapter, or it cannot be fetched.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        match = HUB_NAME.fullmatch(source.removeprefix("hub:"))
        if not match or source.startswith((".", "/", "~")):
            raise UserError(
                f"adapter {source!r}: expected a folder that peft wrote, or org/name on the hub; found none"
            )
        folder = snapshot(match["repo"], match["repo"], match["revision"])
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            found = "a pickle, which is not read" if (folder / "adapter_model.bin").is_file() else "no such file"
            raise UserError(f"adapter {folder}: expected {name}, as peft's save_pretrained writes it, found {found}")
    return (folder / "adapter_model.safetensors").absolute()


def adapter_base(folder: Path) -> str | None:
    """The base model that a folder's PEFT adapter names; None where the folder holds more than an adapter, or none.

    Raises:
        UserError: Its `adapter_config.json` is damaged or names no base model.
    """
    config = folder / "adapter_config.json"
    if not config.is_file() or any(not file.name.startswith("adapter_") for file in folder.glob("*.safetensors")):
        return None
    try:
        base = json.loads(config.read_text("utf-8", "replace"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{config} is not an adapter configuration of peft: {error!r}") from error
    if not isinstance(base, str) or not base:
        raise UserError(f"{config}: expected the base model's name in base_model_name_or_path, found {base!r}")
    return base
