"""What a compiled module computes in, and what it rearranges: for the tests of this folder."""

from benchmarks.tpu import hlo
from benchmarks.tpu.hlo import Array, Instruction

# Of a fusion that does nothing but rearrange.
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

  A transpose that moves data, or a copy whose result lists its dimensions in another order than its
  operand (sides of 1 aside).
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
  """Of the bytes between HBM and the chip, the share for nothing but another order of dimensions.

  That is by copies and transposes, alone or as all that a fusion does, of anything of rank 4.
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
