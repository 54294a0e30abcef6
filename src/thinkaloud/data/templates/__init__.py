"""The templates of generated tasks.

To add one, write a function from a random generator (and, for logic, the answer) to a draft, decorate it with its
number of steps, and list it in `TEMPLATES` of its module.
"""

from thinkaloud.data.templates import logic_long, logic_short, math_long, math_short
from thinkaloud.data.templates.record import Draft, Template

TEMPLATES: dict[str, tuple[Template, ...]] = {
    "math": math_short.TEMPLATES + math_long.TEMPLATES,
    "logic": logic_short.TEMPLATES + logic_long.TEMPLATES,
}
"""All templates by domain, in the order in which the generator uses them."""

__all__ = ["TEMPLATES", "Draft", "Template"]
