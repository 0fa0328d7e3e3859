"""Types in which a compiled module computes, and what it rearranges, for tests of this folder."""

from benchmarks.tpu import hlo
from benchmarks.tpu.hlo import Array, Instruction

# Further instructions of a fusion that only rearranges.
_MOVES = {"parameter", "constant", "bitcast", "tuple", "get-tuple-element", "reshape", "slice"}


def convolution_types(module: dict[str, Instruction]) -> list[tuple[str, tuple[str, ...]]]:
  """(JAX operation, operand types) of every convolution.

  Matrix products, which XLA for TPUs also writes as convolutions, are left out.
  """
  return [
    (line.source, tuple(module[name].results[0].dtype for name in line.operands))
    for line in module.values()
    if line.op == "convolution" and "dot_general" not in line.source
  ]


def layout_changes(module: dict[str, Instruction], channels: int = 64) -> list[Instruction]:
  """Instructions of the schedule that only rearrange a feature map: rank 4 or more, wide enough.

  These are transposes that move data, and copies whose result has its dimensions in another order
  than the operand (ignoring sides of 1).
  """
  changes = []
  for line in module.values():
    if not line.entry or line.op not in ("copy", "transpose"):
      continue
    result, operand = line.results[0], module[line.operands[0]].results[0]
    if len(result.shape) < 4 or result.shape[-1] < channels:
      continue
    if line.op == "transpose" or _order(result) != _order(operand):
      changes.append(line)
  return changes


def rearranged_share(module: dict[str, Instruction]) -> float:
  """The share of bytes between HBM and the chip that only changes the order of dimensions.

  Counted are copies and transposes of rank 4 or more, alone or as all that a fusion does.
  """
  ops: dict[str, set[str]] = {}
  for line in module.values():
    ops.setdefault(line.computation, set()).add(line.op)
  lines = layout_changes(module, channels=1)
  for line in module.values():
    inside = ops.get(hlo.called(line), set()) - _MOVES
    if line.entry and inside and inside <= {"copy", "transpose"} and len(line.results[0].shape) > 3:
      lines.append(line)
  return sum(hlo.hbm_bytes_of(line, module) for line in lines) / hlo.hbm_bytes(module)


def _order(array: Array) -> tuple[int, ...]:
  return tuple(axis for axis in array.order if array.shape[axis] > 1)
