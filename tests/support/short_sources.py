"""Small sources for runs that start many times: all prompts and rationales have one length."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path


def short_sources(out: Path) -> dict[str, str]:
    """Two sources beside the run directory `out`, as TOML values of `data.sources`, by name.

    Equal lengths keep the number of compiled shapes small; compilation dominates the time of a short run.
    """
    found = {}
    for name in ("math", "science"):
        path = out.with_name(f"{name}.jsonl")
        if not path.exists():
            lines = [
                {"question": f"How expensive is {word} {name[0]}?", "answer": "7", "why": f"It was {word}."}
                for word in map("".join, product("bdkl", "aeou", "mnrt"))
            ]
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        found[name] = f"{{path = '{path}', domain = '{name}', rationale = 'why'}}"
    return found
