"""Reads the text of an optimized HLO module: what it sends, moves and convolves, and in what types.

The text is that of `compiled.as_text()`; nothing is compiled here.
"""

import dataclasses
import math
import re

WIDTHS = {
  "pred": 1,
  "s8": 1,
  "u8": 1,
  "s16": 2,
  "u16": 2,
  "bf16": 2,
  "f16": 2,
  "s32": 4,
  "u32": 4,
  "f32": 4,
  "s64": 8,
  "u64": 8,
  "f64": 8,
}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
# Of the instructions of a schedule, those that move nothing themselves; a custom call of this
# target puts prefetched slices together where they lie.
FREE = {
  "parameter",
  "constant",
  "tuple",
  "get-tuple-element",
  "bitcast",
  "after-all",
  "copy-done",
  "slice-done",
  "async-done",
}
FREE_TARGET = 'custom_call_target="ConcatBitcast"'

_ARRAY = re.compile(r"\b(\w+)\[([\d,]*)\](?:\{([\d,]*)([^}]*)\})?")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
_GROUPS = re.compile(r"replica_groups=(?:\{\{([\d,]*)\}|\[\d+,(\d+)\])")


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of an instruction's result.

  Attributes:
    dtype: as HLO writes it: bf16, f32, ...
    shape: its sides.
    order: dimensions from minor to major.
    in_hbm: False where the compiler placed it in a faster memory, as in S(1).
  """

  dtype: str
  shape: tuple[int, ...]
  order: tuple[int, ...]
  in_hbm: bool

  @property
  def size(self) -> int:
    """Bytes, without what tiles pad."""
    return WIDTHS[self.dtype] * math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line: name = result opcode(operands), attributes.

  Attributes:
    name: unique in the module.
    op: opcode, such as "convolution" or "all-reduce-start".
    results: arrays of the result, those of tuples one after the other.
    operands: names.
    entry: whether it belongs to the entry computation, the schedule.
    rest: the text from the operands on.
  """

  name: str
  op: str
  results: tuple[Array, ...]
  operands: tuple[str, ...]
  entry: bool
  rest: str

  @property
  def source(self) -> str:
    """The JAX operation that it came from, or ""."""
    match = re.search(r'op_name="([^"]*)"', self.rest)
    return match[1] if match else ""


def instructions(text: str) -> dict[str, Instruction]:
  """All instructions of a module by name."""
  by_name, entry = {}, False
  for line in text.splitlines():
    if line and not line[0].isspace():
      entry = line.startswith("ENTRY")
    match = _INSTRUCTION.match(line)
    if match:
      name, result, op, rest = match.groups()
      operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
      by_name[name] = Instruction(name, op, _arrays(result), tuple(operands), entry, rest)
  return by_name


def _arrays(result: str) -> tuple[Array, ...]:
  return tuple(
    Array(dtype, _numbers(sides), _numbers(order), not re.search(r"S\([1-9]", tail))
    for dtype, sides, order, tail in _ARRAY.findall(result)
    if dtype in WIDTHS
  )


def _numbers(text: str) -> tuple[int, ...]:
  return tuple(int(number) for number in text.split(",") if number)


def collectives(module: dict[str, Instruction]) -> list[dict]:
  """[{"kind", "count", "bytes", "each"}]: bytes of the whole array of each, as one chip holds it.

  That is the result, but of a reduce-scatter the operand. The -start of an asynchronous one counts,
  its -done does not; one inside a loop counts once.
  """
  sizes_of_kind = {}
  for line in module.values():
    kind = line.op.removesuffix("-start")
    if kind not in COLLECTIVES:
      continue
    arrays = line.results
    if line.op in ("all-gather-start", "collective-permute-start"):
      arrays = arrays[len(line.operands) : 2 * len(line.operands)]  # operands, results, contexts
    size = sum(array.size for array in arrays)
    if kind == "reduce-scatter":
      size *= _group_size(line.rest)
    sizes_of_kind.setdefault(kind, []).append(size)
  return [
    {"kind": kind, "count": len(sizes), "bytes": sum(sizes), "each": sizes}
    for kind, sizes in sizes_of_kind.items()
  ]


def _group_size(rest: str) -> int:
  groups = _GROUPS.search(rest)
  if groups is None:
    return 1
  return int(groups[2]) if groups[2] else len(groups[1].split(","))


def hbm_bytes(module: dict[str, Instruction]) -> int:
  """Bytes that the schedule reads from and writes to HBM.

  For each instruction its operands and results there, once each (so a loop counts as its state, not
  as its turns); of a prefetched slice the slice.
  XLA's own "bytes accessed" also counts what stays in VMEM, and the whole operand for each slice.
  """
  total = 0
  for line in module.values():
    if not line.entry or line.op in FREE or FREE_TARGET in line.rest:
      continue
    if line.op in ("copy-start", "slice-start"):
      # (operands, result, context), or for a copy also (result, operand, context): alike in size.
      source, result = line.results[:2]
      total += result.size * (source.in_hbm + result.in_hbm)
      continue
    arrays = [
      *line.results,
      *(array for name in line.operands if name in module for array in module[name].results),
    ]
    total += sum(array.size for array in arrays if array.in_hbm)
  return total


def estimated_cycles(module: dict[str, Instruction]) -> int:
  """Cycles of the schedule by the compiler's own cost model, without collectives; 0 without one."""
  cycles = (
    re.search(r'"estimated_cycles":"(\d+)"', line.rest) for line in module.values() if line.entry
  )
  return sum(int(match[1]) for match in cycles if match)
