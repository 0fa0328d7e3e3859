"""Reads the text of an optimized HLO module: its collectives, HBM traffic, schedule and types.

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
# Instructions of a schedule that move nothing themselves; a custom call with this target joins
# prefetched slices in place.
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
  "call-done",
  "while",
  "send-done",
  "recv-done",
}
FREE_TARGET = 'custom_call_target="ConcatBitcast"'

_ARRAY = re.compile(r"\b(\w+)\[([\d,]*)\](?:\{([\d,]*)([^}]*)\})?")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
_BETWEEN_SLICES = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_CALLED = re.compile(r"\b(?:calls|to_apply)=%?([\w.\-]+)")
_CHAIN = re.compile(r'chain_id="(\d+)"')
_PASSED_ON = re.compile(r"\{(\d*)\}: \((\d+), \{\}\)")
_GROUPS = re.compile(r"replica_groups=(?:\{\{([\d,]*)\}|\[\d+,(\d+)\])")


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of an instruction's result.

  Attributes:
    dtype: as HLO writes it: bf16, f32, ...
    shape: its dimensions.
    order: the dimensions from minor to major.
    in_hbm: False where the compiler placed it in a faster memory, as in S(1).
  """

  dtype: str
  shape: tuple[int, ...]
  order: tuple[int, ...]
  in_hbm: bool

  @property
  def size(self) -> int:
    """Bytes, without the padding of tiles."""
    return WIDTHS[self.dtype] * math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line: name = result opcode(operands), attributes.

  Attributes:
    name: unique in the module.
    op: opcode, such as "convolution" or "all-reduce-start".
    results: arrays of the result, with tuples flattened.
    operands: names of the operands.
    computation: name of the computation that it belongs to.
    entry: whether that is the entry computation.
    rest: the text from the operands on.
  """

  name: str
  op: str
  results: tuple[Array, ...]
  operands: tuple[str, ...]
  computation: str
  entry: bool
  rest: str

  @property
  def source(self) -> str:
    """The JAX operation that it came from, or ""."""
    match = re.search(r'op_name="([^"]*)"', self.rest)
    return match[1] if match else ""


def instructions(text: str) -> dict[str, Instruction]:
  """{name: instruction} of a whole module."""
  by_name, entry, computation = {}, False, ""
  for line in text.splitlines():
    if line and not line[0].isspace():
      entry = line.startswith("ENTRY")
      computation = line.removeprefix("ENTRY ").split(" ")[0].removeprefix("%")
    match = _INSTRUCTION.match(line)
    if match:
      name, result, op, rest = match.groups()
      operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
      by_name[name] = Instruction(
        name, op, _arrays(result), tuple(operands), computation, entry, rest
      )
  return by_name


def _arrays(result: str) -> tuple[Array, ...]:
  return tuple(
    Array(dtype, _numbers(sides), _numbers(order), not re.search(r"S\([1-9]", tail))
    for dtype, sides, order, tail in _ARRAY.findall(result)
    if dtype in WIDTHS
  )


def _numbers(text: str) -> tuple[int, ...]:
  return tuple(int(number) for number in text.split(",") if number)


def schedule(module: dict[str, Instruction]) -> list[tuple[Instruction, int]]:
  """(instruction, how often it runs) of the entry computation and of the loops in it, in order.

  A loop precedes its body; one whose number of iterations XLA doesn't know counts as running once.
  """
  bodies: dict[str, list[Instruction]] = {}
  for line in module.values():
    bodies.setdefault(line.computation, []).append(line)
  entry = [line for line in module.values() if line.entry]

  def expanded(lines: list[Instruction], times: int) -> list[tuple[Instruction, int]]:
    found = []
    for line in lines:
      found.append((line, times))
      body = re.search(r"body=%?([\w.\-]+)", line.rest) if line.op == "while" else None
      if body:
        found += expanded(bodies.get(body[1], []), times * _turns(line, module))
    return found

  return expanded(entry, 1)


def _turns(loop: Instruction, module: dict[str, Instruction]) -> int:
  """The number of iterations of a loop; 1 if it is unknown.

  A plan doesn't state it, but the condition compares the counter, from 0, with a constant.
  """
  known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.rest)
  if known:
    return int(known[1])
  condition = re.search(r"condition=%?([\w.\-]+)", loop.rest)
  for line in module.values():
    if condition and line.computation == condition[1] and "direction=LT" in line.rest:
      bound = module[line.operands[-1]]
      return int(bound.rest.split(")")[0]) if bound.op == "constant" else 1
  return 1


def collectives(module: dict[str, Instruction]) -> list[dict]:
  """[{"between", "kind", "count", "bytes", "each"}]: what devices send each other, by kind.

  Between devices of a slice, bytes are those of the whole array that a device holds: the result, or
  the operand of a reduce-scatter. Between slices, they are what a device passes to its host: an
  all-reduce there takes each device's part of its slice's sum. Of an asynchronous collective, the
  start counts and the end does not; of a call, the collective in the called computation. One inside
  a loop counts once. So does one that several fusions run in parts, beside convolutions: they share
  the number of its chain.
  """
  sizes_of_kind: dict[tuple[str, str], list[int]] = {}
  chains = set()
  for line in module.values():
    kind = line.op.removesuffix("-start")
    if kind == "send" and (between := _BETWEEN_SLICES.search(line.rest)):
      key = "slices", between[1].lower().replace("_", "-")
      sizes_of_kind.setdefault(key, []).append(line.results[0].size)
    chain = _CHAIN.search(line.rest)
    if kind not in COLLECTIVES or (chain and chain[1] in chains):
      continue
    chains.update(chain.groups() if chain else ())
    arrays = line.results
    if line.op in ("all-gather-start", "collective-permute-start"):
      arrays = arrays[len(line.operands) : 2 * len(line.operands)]  # operands, results, contexts
    size = sum(array.size for array in arrays)
    if kind == "reduce-scatter":
      size *= _group_size(line.rest)
    sizes_of_kind.setdefault(("devices", kind), []).append(size)
  return [
    {"between": between, "kind": kind, "count": len(sizes), "bytes": sum(sizes), "each": sizes}
    for (between, kind), sizes in sizes_of_kind.items()
  ]


def overlapped_share(module: dict[str, Instruction]) -> float:
  """The share of the bytes of the schedule's collectives that moves beside arithmetic.

  A collective counts if the schedule has a convolution between its start and end, alone or in a
  fusion, even in one with a part of the collective itself.
  """
  order = [line for line in module.values() if line.entry]
  ends = {line.operands[0]: i for i, line in enumerate(order) if line.op.endswith("-done")}
  inside = _collectives_inside(module)
  spans: dict[str, tuple[int, int, int]] = {}  # bytes, first and last place in the schedule
  for i, line in enumerate(order):
    for part in [line, *inside.get(called(line), ())]:
      size = _size_on_the_way(part)
      if size:
        chain = _CHAIN.search(part.rest)
        key = chain[0] if chain else part.name
        first = spans[key][1] if key in spans else i
        spans[key] = (size, first, ends.get(line.name, i))
  total = sum(size for size, _, _ in spans.values())
  beside = sum(
    size
    for size, first, last in spans.values()
    if any(_is_arithmetic(line) for line in order[first : last + 1])
  )
  return beside / total if total else 0.0


def _collectives_inside(module: dict[str, Instruction]) -> dict[str, list[Instruction]]:
  """{computation: collectives in it}, without the entry computation."""
  inside: dict[str, list[Instruction]] = {}
  for line in module.values():
    if not line.entry and line.op.removesuffix("-start") in COLLECTIVES:
      inside.setdefault(line.computation, []).append(line)
  return inside


def called(line: Instruction) -> str:
  """The computation that a fusion or a call runs, or ""."""
  match = _CALLED.search(line.rest) if line.op in ("fusion", "call-start", "call") else None
  return match[1] if match else ""


def _size_on_the_way(line: Instruction) -> int:
  """Bytes of the results of a collective or a send to another slice, else 0."""
  kind = line.op.removesuffix("-start")
  if kind == "send" and _BETWEEN_SLICES.search(line.rest):
    return line.results[0].size
  return sum(array.size for array in line.results) if kind in COLLECTIVES else 0


def _is_arithmetic(line: Instruction) -> bool:
  return line.op == "convolution" or (line.op == "fusion" and "kind=kOutput" in line.rest)


def _group_size(rest: str) -> int:
  groups = _GROUPS.search(rest)
  if groups is None:
    return 1
  return int(groups[2]) if groups[2] else len(groups[1].split(","))


def hbm_bytes(module: dict[str, Instruction]) -> int:
  """Bytes that the schedule reads from and writes to HBM.

  Each run of an instruction counts its operands and results in HBM once; a prefetched slice counts
  only the slice. XLA's own "bytes accessed" also counts what stays in VMEM, and for each slice its
  whole operand.
  """
  inside = _collectives_inside(module)
  return sum(
    hbm_bytes_of(line, module, fused=called(line) in inside) * times
    for line, times in schedule(module)
  )


def hbm_bytes_of(line: Instruction, module: dict[str, Instruction], *, fused: bool = False) -> int:
  """Bytes of HBM of one instruction; `fused`: a part of a collective is fused into it."""
  if line.op in FREE or FREE_TARGET in line.rest:
    return 0
  if line.op in ("call-start", "send", "recv"):
    # A call's operands and results are listed together; what goes to another slice leaves HBM.
    return sum(array.size for array in line.results if array.in_hbm)
  if line.op in ("copy-start", "slice-start"):
    # (operand, result, context), or for a copy also (result, operand, context), of equal size.
    source, result = line.results[:2]
    return result.size * (source.in_hbm + result.in_hbm)
  results, operands = list(line.results), list(line.operands)
  if fused and line.op == "fusion":
    # A collective in parts: what it only passes on to the next part stays in place.
    passed = _PASSED_ON.findall(line.rest)
    outputs, inputs = {int(i or 0) for i, _ in passed}, {int(i) for _, i in passed}
    results = [array for i, array in enumerate(results) if i not in outputs]
    operands = [name for i, name in enumerate(operands) if i not in inputs]
  arrays = [
    *results,
    *(array for name in operands if name in module for array in module[name].results),
  ]
  return sum(array.size for array in arrays if array.in_hbm)


def estimated_cycles(module: dict[str, Instruction]) -> int:
  """Cycles of the schedule by the compiler's own cost model, without collectives; 0 without one."""
  total = 0
  for line, times in schedule(module):
    match = re.search(r'"estimated_cycles":"(\d+)"', line.rest)
    total += times * int(match[1]) if match else 0
  return total
