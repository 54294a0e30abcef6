"""Reads optimized HLO: kernels, bytes, sorts, converts, concatenations, collectives and estimated cycles, loop by loop.

The figures are those of the compiler, not of a run. An instruction of the entry computation or of a loop body that is
not free (`FREE`) counts as one kernel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

FREE = {
    *("parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all", "partition-id", "replica-id"),
    *("opt-barrier", "while", "conditional", "call", "async-done", "async-update", "copy-done"),
}
"""Instructions that launch nothing themselves."""

OWN_KERNEL = 'custom_call_target="__gpu$xla.gpu.triton"'
"""Marks a Pallas kernel on a GPU."""

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter", "ragged-all-to-all")

BITS = {"pred": 8, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64} | {
    f"{kind}{bits}": bits for kind in "su" for bits in (2, 4, 8, 16, 32, 64)
}

SHAPE = re.compile(r"\b(pred|bf16|f16|f32|f64|c64|[su](?:2|4|8|16|32|64))\[([\d,]*)\]")
NAME = re.compile(r"%([\w.\-]+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """An array's dtype and sizes."""

    dtype: str
    sizes: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes without padding."""
        return math.prod(self.sizes) * BITS[self.dtype] // 8


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line of a computation."""

    name: str
    op: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    attributes: str
    root: bool = False

    @property
    def num_bytes(self) -> int:
        """Bytes of the result."""
        return sum(shape.num_bytes for shape in self.shapes)

    @property
    def called(self) -> tuple[str, ...]:
        """The computations that it names, such as a fusion's or a loop's body."""
        found = re.findall(r"(?:calls|to_apply|body|true_computation|false_computation)=%([\w.\-]+)", self.attributes)
        for branches in re.findall(r"branch_computations=\{([^}]*)\}", self.attributes):
            found += NAME.findall(branches)
        return tuple(found)

    @property
    def cycles(self) -> int:
        """XLA's estimate for TPUs; 0 where there is none."""
        found = re.search(r'"estimated_cycles":"?(\d+)', self.attributes)
        return int(found.group(1)) if found else 0


@dataclass(slots=True)
class Totals:
    """Sums over a computation with all loops in it."""

    kernels: int = 0
    cycles: int = 0
    read_bytes: int = 0
    collective_bytes: int = 0

    def add(self, other: Totals, times: int = 1) -> None:
        """Add those of something that runs so many times."""
        for name in ("kernels", "cycles", "read_bytes", "collective_bytes"):
            setattr(self, name, getattr(self, name) + times * getattr(other, name))


@dataclass
class Program:
    """The computations of a compiled program, by name."""

    computations: dict[str, dict[str, Instruction]] = field(default_factory=dict)
    entry: str = ""

    @classmethod
    def parse(cls, text: str) -> Program:
        """Read what `jax.stages.Compiled.as_text` prints."""
        program, current = cls(), None
        for line in text.splitlines():
            if line.startswith("}"):
                current = None
            elif header := re.match(r"(ENTRY )?%([\w.\-]+) .*\{$", line):
                current = program.computations.setdefault(header.group(2), {})
                if header.group(1):
                    program.entry = header.group(2)
            elif current is not None and (instruction := _instruction(line)):
                current[instruction.name] = instruction
        assert program.entry, "no entry computation"
        return program

    def loops(self) -> list[Instruction]:
        """All while loops."""
        return [i for i in self.instructions() if i.op == "while"]

    def instructions(self, computation: str | None = None) -> Iterator[Instruction]:
        """Of a computation and of all that it calls; of the whole program if None."""
        if computation is None:
            for body in self.computations.values():
                yield from body.values()
            return
        for instruction in self.computations[computation].values():
            yield instruction
            for called in instruction.called:
                yield from self.instructions(called)

    @cached_property
    def longest_loop(self) -> str:
        """The body of the loop with the most kernels: that of decoding in a program that decodes."""
        bodies = [re.search(r"body=%([\w.\-]+)", loop.attributes) for loop in self.loops()]
        names = [body.group(1) for body in bodies if body]
        assert names, "no loop"
        return max(names, key=lambda name: self.totals(name).kernels)

    def totals(self, computation: str | None = None) -> Totals:
        """Of one run of a computation (the entry if None); of conditionals the branch with the most cycles or bytes."""
        total = Totals()
        for instruction in self.computations[computation or self.entry].values():
            op = instruction.op
            if op == "while":
                body = re.search(r"body=%([\w.\-]+)", instruction.attributes)
                assert body
                total.add(self.totals(body.group(1)), self._trips(instruction))
            elif op == "conditional":
                branches = [self.totals(name) for name in instruction.called]
                total.add(max(branches, key=lambda branch: (branch.cycles, branch.read_bytes)))
            elif op in ("call", "async-start") and instruction.called:
                total.add(self.totals(instruction.called[0]))
            elif op not in FREE:
                total.kernels += 1
                total.cycles += instruction.cycles
                total.read_bytes += self._read_bytes(instruction, computation or self.entry)
                if op.removesuffix("-start") in COLLECTIVES:
                    total.collective_bytes += instruction.num_bytes
        return total

    def _trips(self, loop: Instruction) -> int:
        """Iterations of a loop: known to the compiler, or the constant that its counter is compared with; else 1."""
        if known := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes):
            return int(known.group(1))
        condition = re.search(r"condition=%([\w.\-]+)", loop.attributes)
        body = self.computations.get(condition.group(1), {}) if condition else {}
        counters = [i for i in body.values() if i.op == "compare" and i.root and "direction=LT" in i.attributes]
        limits = [body[name] for i in counters for name in i.operands if body[name].op == "constant"]
        return int(limits[0].attributes) if len(limits) == 1 else 1

    def widest_sort(self) -> int:
        """The largest size of the sorted axis; sorts as custom calls (GPU) and top-k included."""
        widest = 0
        for instruction in self.instructions():
            if instruction.op == "sort":
                axis = re.search(r"dimensions=\{(\d+)\}", instruction.attributes)
                assert axis
                widest = max(widest, instruction.shapes[0].sizes[int(axis.group(1))])
            elif re.search(r'custom_call_target="[^"]*([Ss]ort|[Tt]op_?[Kk])', instruction.attributes):
                operands = [self._find(name) for name in instruction.operands]
                widest = max([widest, *(i.shapes[0].sizes[-1] for i in operands if i and i.shapes[0].sizes)])
        return widest

    def written(self, computation: str, op: str, least_bytes: int) -> list[Shape]:
        """Results of `op` (convert, concatenate, copy) of at least so many bytes that a computation writes to memory.

        What a fusion computes on the way to another result is not written.
        """
        found = []
        for instruction in self._launched(computation):
            result = self._result(instruction) if instruction.op == "fusion" else instruction
            if result.op == op and instruction.num_bytes >= least_bytes:
                found.append(instruction.shapes[0])
        return found

    def _result(self, fusion: Instruction) -> Instruction:
        """What computes a fusion's result; bitcasts compute nothing."""
        inner = self.computations[fusion.called[0]]
        last = next(i for i in inner.values() if i.root)
        while last.op == "bitcast":
            last = inner[last.operands[0]]
        return last

    def _launched(self, computation: str) -> Iterator[Instruction]:
        """Instructions of a computation and of the loops, branches and calls in it, but not those within fusions."""
        for instruction in self.computations[computation].values():
            yield instruction
            if instruction.op in ("while", "conditional", "call", "async-start"):
                for called in instruction.called:
                    yield from self._launched(called)

    def input_bytes(self, body: str) -> int:
        """Bytes of a loop's inputs (weights, caches) that one iteration reads; intermediate results are left out.

        So are the operands of kernels of our own, which need not read all of them.
        """
        return sum(
            size
            for instruction in self.computations[body].values()
            if instruction.op not in FREE and OWN_KERNEL not in instruction.attributes
            for name, size in self._reads(instruction, body)
            if self._is_input(name, body)
        )

    def _is_input(self, name: str, body: str) -> bool:
        """Whether an operand is an input of the loop, as it is or with an entry written in place."""
        instructions = self.computations[body]
        while (instruction := instructions[name]).op in ("bitcast", "fusion", "dynamic-update-slice", "copy"):
            if instruction.op == "fusion":
                inner = self.computations[instruction.called[0]]
                last = self._result(instruction)
                while last.op in ("bitcast", "dynamic-update-slice"):
                    last = inner[last.operands[0]]
                if last.op != "parameter":
                    return False
                name = instruction.operands[int(last.attributes)]
            else:
                name = instruction.operands[0]
        return instruction.op == "get-tuple-element"

    def _find(self, name: str) -> Instruction | None:
        return next((body[name] for body in self.computations.values() if name in body), None)

    def _read_bytes(self, instruction: Instruction, computation: str) -> int:
        return sum(size for _, size in self._reads(instruction, computation))

    def _reads(self, instruction: Instruction, computation: str) -> list[tuple[str, int]]:
        """Operands with the bytes read of them: of one that is only sliced or gathered from, what is used of it."""
        body, names = self.computations[computation], instruction.operands
        if instruction.op in ("dynamic-slice", "slice", "gather"):
            return [(names[0], instruction.num_bytes)]
        if instruction.op == "dynamic-update-slice":
            return [(names[1], body[names[1]].num_bytes)]
        sizes = [(name, body[name].num_bytes) for name in names if name in body]
        if instruction.op != "fusion":
            return sizes
        inner = self.computations[instruction.called[0]]
        return [
            (name, min(size, _used_bytes(inner, parameter)))
            for (name, size), parameter in zip(sizes, _parameters(inner), strict=True)
        ]


def _parameters(body: dict[str, Instruction]) -> list[str]:
    """The names of a computation's parameters, in order."""
    numbered = [(int(i.attributes), i.name) for i in body.values() if i.op == "parameter"]
    return [name for _, name in sorted(numbered)]


def _used_bytes(body: dict[str, Instruction], name: str) -> int:
    """Bytes that a fusion reads of one of its operands."""
    total = 0
    for user in body.values():
        if name not in user.operands:
            continue
        if user.op in ("dynamic-slice", "slice", "gather"):
            total += user.num_bytes if user.operands[0] == name else 0
        elif user.op == "dynamic-update-slice" and user.operands[0] == name:
            continue
        elif user.op in ("bitcast", "reshape", "convert", "copy", "transpose") and user.operands[0] == name:
            total += min(body[name].num_bytes, _used_bytes(body, user.name) or body[name].num_bytes)
        else:
            total += body[name].num_bytes
    return total


def _instruction(line: str) -> Instruction | None:
    found = re.match(r"\s+(ROOT )?%([\w.\-]+) = (.*)$", line)
    if not found:
        return None
    root, name, rest = found.groups()
    if rest.startswith("("):  # a tuple's type
        end = 1 + _closing(rest[1:])
        kind, rest = rest[: end + 1], rest[end + 2 :]
    else:
        kind, _, rest = rest.partition(" ")
    op, _, rest = rest.partition("(")
    end = _closing(rest)
    inside, attributes = rest[:end], rest[end + 1 :]
    shapes = tuple(Shape(dtype, tuple(int(n) for n in sizes.split(",") if n)) for dtype, sizes in SHAPE.findall(kind))
    if op in ("parameter", "constant"):
        return Instruction(name, op, shapes, (), inside, bool(root))
    return Instruction(name, op, shapes, tuple(NAME.findall(inside)), attributes, bool(root))


def _closing(text: str) -> int:
    """The index of the parenthesis that closes one opened before the text."""
    depth = 1
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return index
    raise ValueError(f"no closing parenthesis in {text[:80]!r}")
