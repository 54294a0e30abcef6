"""The sources that a recipe can name, and the domains of their tasks; `data/sources` has an adapter for each."""

from __future__ import annotations

KNOWN_SOURCES: dict[str, tuple[str, ...]] = {
    "starter": (
        *("math", "coding", "science", "logic"),
        *("creative_writing", "creative_ideation", "summarization"),
    ),
    "gsm8k": ("math",),
    "mbpp": ("coding",),
    "sciq": ("science",),
    "ARC-Easy": ("science",),
    "ARC-Challenge": ("science",),
    "strategyqa": ("logic",),
    "writingprompts": ("creative_writing",),
    "dolly15k": ("creative_writing", "creative_ideation"),
    "longform": ("creative_ideation",),
    "no_robots": ("creative_writing", "creative_ideation", "summarization"),
    "xsum": ("summarization",),
    "cnn_dailymail": ("summarization",),
    "svamp": ("math",),
    "humaneval": ("coding",),
    "boolq": ("logic",),
}
"""By name, in the order of tables; the names are also the folder names in `data.dir`. The last three are evaluation
sets: their rows are never trained on."""
