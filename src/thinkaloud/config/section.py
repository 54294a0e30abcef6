"""The base class of a recipe's sections, and number types with bounds."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _with_a_port_number(url: str) -> str:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("expected a URL such as http://127.0.0.1:8000/v1") from None
    return url


Positive = Annotated[int, Field(gt=0, le=1_000_000)]
NotNegative = Annotated[int, Field(ge=0, le=1_000_000_000)]
Budget = Annotated[int, Field(gt=0, le=10**12)]
Rank = Annotated[int, Field(gt=0, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Rate = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
HeldOutShare = Annotated[float, Field(ge=0.0, le=0.5, allow_inf_nan=False)]
NotNegativeFloat = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
PositiveFloat = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Url = Annotated[
    str, Field(pattern=r"^(https?://[A-Za-z0-9._:\[\]-]+(/[!-\"$->A-~]*)?)?$"), AfterValidator(_with_a_port_number)
]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
Target = Literal["q", "k", "v", "o", "gate", "up", "down"]


class Section(BaseModel):
    """Frozen; unknown keys and values of other types are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
