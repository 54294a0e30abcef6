"""A mesh of devices as written on the command line: `data=2,fsdp=4`."""

from __future__ import annotations

from thinkaloud.errors import UserError, nearest

AXES = ("data", "fsdp", "tensor")
"""The axes of a mesh, in order: the fields of the recipe's section `mesh`."""


def parse_mesh(text: str) -> dict[str, int]:
    """`data=2,fsdp=4` to sizes by axis.

    Raises:
        UserError: An axis is unknown or repeated, or its size is not a positive integer.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        axis, _, size = (piece.strip() for piece in part.partition("="))
        if axis not in AXES:
            raise UserError(f"mesh {text!r}: unknown axis {axis!r}{nearest(axis, AXES)}; write it as data=2,fsdp=4")
        if axis in sizes:
            raise UserError(f"mesh {text!r} names {axis} twice")
        if not (size.isascii() and size.isdigit()) or int(size) < 1:
            raise UserError(f"mesh {text!r}: expected a number of devices, 1 or more, for {axis}, found {size!r}")
        sizes[axis] = int(size)
    return sizes
