"""Models on Kaggle, through the `kagglehub` package (the extra `kaggle`)."""

from __future__ import annotations

import re
from pathlib import Path

from thinkaloud.errors import UserError

PREFIX = "kaggle:"
_HANDLE = re.compile(r"[\w.-]+/[\w.-]+/[\w.-]+/[\w.-]+(/\d+)?", re.ASCII)


def kaggle_folder(source: str) -> Path:
    """The folder of a Kaggle model in Hugging Face's layout, downloaded if it is missing.

    On a Kaggle machine, kagglehub attaches the model instead and returns the folder it is attached to.

    Args:
        source: `kaggle:owner/model/framework/variation[/version]`.

    Raises:
        UserError: The handle is malformed, kagglehub is not installed, or the model cannot be fetched.
    """
    handle = source.removeprefix(PREFIX)
    if not _HANDLE.fullmatch(handle):
        raise UserError(
            f"model {source[:200]!r}: expected kaggle:owner/model/framework/variation[/version], such as "
            "kaggle:google/gemma-3/transformers/gemma-3-1b-it"
        )
    try:
        import kagglehub
    except ImportError as error:
        raise UserError(
            f"model {source!r} needs the kagglehub package: run `pip install kagglehub`, or attach the model and set "
            "model.source to its folder"
        ) from error
    try:
        return Path(kagglehub.model_download(handle)).absolute()
    except Exception as error:  # kagglehub raises errors of its own, of requests and of the operating system
        raise UserError(
            f"model {source!r} could not be fetched from Kaggle: {str(error)[:200]}; check the handle, accept the "
            "model's terms on its page, and log in with kagglehub.login()"
        ) from error
