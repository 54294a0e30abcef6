"""Exports a stage of a run in a named format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thinkaloud.errors import UserError, nearest
from thinkaloud.export.bundle import Bundle, open_bundle
from thinkaloud.export.gguf import write_gguf
from thinkaloud.export.hf import write_hf
from thinkaloud.export.peft import write_peft
from thinkaloud.export.tunix import write_tunix
from thinkaloud.storage.staging import new_folder


@dataclass(frozen=True, slots=True)
class Format:
    """A function that fills an empty folder, and the dtypes it supports; the first is the default."""

    write: Callable[[Bundle, str, Path], None]
    dtypes: tuple[str, ...]


FORMATS: dict[str, Format] = {
    "hf": Format(write_hf, ("bfloat16", "float32")),
    "tunix": Format(write_tunix, ("bfloat16", "float32")),
    "peft": Format(write_peft, ("float32",)),
    "gguf": Format(write_gguf, ("float16", "q8_0", "bfloat16", "float32")),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export; `files` holds the size of each file in bytes."""

    path: Path
    format: str
    stage: str
    dtype: str
    files: dict[str, int]


def export_run(
    path: Path,
    format: str,
    *,
    stage: str = "trained",
    dtype: str | None = None,
    out: Path | None = None,
    allow_contract_mismatch: bool = False,
) -> Exported:
    """Write a stage of a run for other programs.

    Args:
        path: The run directory.
        format: A key of `FORMATS`.
        stage: `base`, `cold_start` or `trained`.
        dtype: One of the format's dtypes; the first when None.
        out: The folder, which must be empty or not exist; `export/FORMAT-DTYPE` in the run directory when None, with
            the stage in its name unless that is `trained`.

    Raises:
        UserError: No such run, stage, format or dtype, or the folder cannot be written.
        ContractMismatch: The current tokenizer does not produce the prompts that the run was trained with.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}{nearest(format, FORMATS)}")
    known = FORMATS[format]
    chosen = dtype or known.dtypes[0]
    if chosen not in known.dtypes:
        raise UserError(f"expected {' or '.join(known.dtypes)} as the dtype of {format}, found {chosen!r}")
    name = f"{format}-{chosen}" if stage == "trained" else f"{format}-{chosen}-{stage}"
    folder = out or path / "export" / name
    with new_folder(folder) as temporary:
        known.write(open_bundle(path, stage, allow_contract_mismatch=allow_contract_mismatch), chosen, temporary)
        files = {
            str(file.relative_to(temporary)): file.stat().st_size
            for file in sorted(temporary.rglob("*"))
            if file.is_file()
        }
    return Exported(folder, format, stage, chosen, files)
