"""Compiles a train step for a box of GPUs without having one: kinds of GPUs, and what XLA reports.

XLA's GPU compiler needs neither a GPU nor CUDA: the packages jax-cuda12-plugin and jax-cuda12-pjrt
(the extra `gpu-compile`) and a description of the GPU are enough. It then gives no times, chooses
no cuDNN algorithms and counts no HBM traffic.
"""

import dataclasses
import importlib.util
import re
import time
from typing import Any

from benchmarks.harness import timing
from benchmarks.tpu import hlo, programs, steps
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command
from stylejax.training.config import TrainConfig
from stylejax.training.replicas import check_batch
from stylejax.training.tasks import task_of

_CONVOLUTION = "__cudnn$conv"


@dataclasses.dataclass(frozen=True)
class Gpu:
  """A kind of GPU.

  Attributes:
    flops: peak FLOP/s in bfloat16, dense.
    memory: bytes of its memory.
    link: bytes/s that it can send to the others in its box.
    description: what XLA's compiler has to know about it, a GpuTargetConfigProto as text.
    source: where the figures are published.
  """

  flops: float
  memory: float
  link: float
  description: str
  source: str


GPUS = {
  "h100": Gpu(
    flops=989e12,
    memory=80e9,
    link=450e9,
    description="""gpu_device_info {
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  threads_per_core_limit: 2048
  core_count: 132
  fpus_per_core: 128
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  clock_rate_ghz: 1.98
  device_memory_size: 84978434048
  cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
""",
    source="nvidia.com/en-us/data-center/h100 (SXM: 989 TFLOP/s, NVLink 900 GB/s both ways); "
    "CUDA C++ programming guide, compute capability 9.0",
  )
}


@dataclasses.dataclass(frozen=True)
class Box:
  """One machine: its name, its kind of GPU, and devices to compile for."""

  name: str
  gpu: Gpu
  devices: list


def is_box(name: str) -> bool:
  """Whether a topology's name starts like one of GPUs, be it valid or not."""
  return name.split(":")[0] in GPUS


def find_box(name: str) -> Box:
  """The box of that name, such as "h100:8".

  Raises:
    InputError: there is no such box, or a package that compiles for it is missing.
  """
  match = re.fullmatch(r"(\w+):(\d+)", name)
  if match is None or match[1] not in GPUS or not 1 <= int(match[2]) <= 8:
    raise InputError(
      f"--topology: found {name!r}, expected one of {', '.join(GPUS)} and 1 to 8, as in h100:8"
    )
  for package in ("jax_cuda12_plugin", "jax_plugins.xla_cuda12"):
    if not _installed(package):
      raise InputError(
        f"{package}: found none, expected it for compiling: {install_command('gpu-compile')}"
      )
  from jax.experimental import topologies

  gpu = GPUS[match[1]]
  topology = topologies.get_topology_desc(
    platform="cuda", target_config=gpu.description, topology=f"1x1x{match[2]}"
  )
  return Box(name, gpu, list(topology.devices))


def _installed(package: str) -> bool:
  try:
    return importlib.util.find_spec(package) is not None
  except ModuleNotFoundError:
    return False


def convolutions(module: dict[str, hlo.Instruction]) -> list[dict[str, str]]:
  """[{"types", "layout"}] of each convolution for which cuDNN is called.

  types: those of both operands, as in "bf16, bf16"; layout: "NHWC", or else the order of batch,
  features and positions in input, kernel and output.
  """
  found = []
  for line in module.values():
    if line.op != "custom-call" or _CONVOLUTION not in line.rest:
      continue
    labels = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line.rest)
    assert labels is not None, line
    types = ", ".join(module[name].results[0].dtype for name in line.operands[:2])
    channels_last = labels[1] == labels[3] == "b01f"
    found.append({"types": types, "layout": "NHWC" if channels_last else labels[0][11:]})
  return found


def step_row(options: steps.StepOptions, box: Box, batch: int) -> dict[str, Any]:
  """Compiles a train step for a box; returns what the compiler reports and a roofline."""
  count = len(box.devices)
  config = steps.train_config(options, batch)
  check_batch(batch, group=config.group * config.accumulate, devices=box.devices)
  lowered = programs.lower_step(config, box.devices)
  start = time.perf_counter()
  compiled = lowered.compile()
  seconds = time.perf_counter() - start
  module, memory = hlo.instructions(compiled.as_text()), compiled.memory_analysis()
  collectives, flops = hlo.collectives(module), _flops(config, count)
  reduced = sum(found["bytes"] for found in collectives)
  compute = flops / box.gpu.flops
  communication = 2 * (count - 1) / count * reduced / box.gpu.link
  return {
    "case": f"{options.command} step",
    "topology": box.name,
    "devices": count,
    "preset": config.preset,
    "size": config.size,
    "batch": batch,
    "dtype": config.model.dtype,
    "remat": options.remat,
    "accumulate": options.accumulate,
    "gflop_per_device": flops / 1e9,
    "memory_mib": timing.peak_mib(memory),
    "memory_share": timing.peak_mib(memory) * 2**20 / box.gpu.memory,
    "collectives": collectives,
    "convolutions": _counted(convolutions(module)),
    "roofline": {
      "compute_seconds": compute,
      "communication_seconds": communication,
      "step_seconds": compute + communication,
    },
    "images_per_second": batch / (compute + communication),
    "compile_seconds": seconds,
  }


def _flops(config: TrainConfig, count: int) -> float:
  """FLOPs of one device's share of a step, in the program before XLA optimizes it."""
  share = dataclasses.replace(config, batch=config.batch // count, accumulate=1)
  flops = timing.direct_flops(task_of(share).make_train_step(share), programs.shapes(share))
  assert flops is not None
  return flops


def _counted(found: list[dict[str, str]]) -> list[dict[str, Any]]:
  kinds = dict.fromkeys((one["types"], one["layout"]) for one in found)
  return [
    {
      "types": types,
      "layout": layout,
      "count": sum((one["types"], one["layout"]) == (types, layout) for one in found),
    }
    for types, layout in kinds
  ]


def show(result: dict[str, Any]) -> None:
  """Prints each row as a block of lines."""
  for row in result["rows"]:
    bound = row["roofline"]
    print(
      f"{row['topology']}: {row['case']}, preset {row['preset']}, {row['dtype']}, batch "
      f"{row['batch']}, {row['size']} px; compiled in {row['compile_seconds']:.0f} s"
    )
    print(
      f"  FLOPs            {row['gflop_per_device']:12,.0f} GFLOP a GPU, by the lowered program"
    )
    print(f"  memory           {row['memory_mib']:12,.0f} MiB a GPU ({row['memory_share']:.0%})")
    for found in row["collectives"]:
      print(f"  {found['kind']:16} {found['bytes'] / 1e6:12,.1f} MB in {found['count']}")
    for found in row["convolutions"]:
      print(f"  convolutions     {found['count']:12} of {found['types']} in {found['layout']}")
    print(
      f"  at least         {1e3 * bound['step_seconds']:12,.2f} ms: compute "
      f"{1e3 * bound['compute_seconds']:.2f}, communication "
      f"{1e3 * bound['communication_seconds']:.2f}, without what memory takes"
    )
