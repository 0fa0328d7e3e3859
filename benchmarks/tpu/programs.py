"""The trainer's step as a program for absent TPUs: lowered, planned or compiled, and cached.

A plan is what XLA makes of a step before it writes machine code: types, layouts, the schedule, what
is sent, and where each array lies. For `large`, libtpu makes it in half a minute; the code takes a
quarter of an hour and adds only its own size and an estimate of its cycles. So a process of its own
compiles with XLA's dumps on, and ends as soon as the plan is written.
"""

import gzip
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

# jax's public `cost_analysis` calls these; it takes no HLO text, which no public function reads.
from jaxlib import _hlo, _jax

from benchmarks.tpu.slices import Slice, find_slice, memory_needed
from stylejax.runtime.jit import training_options
from stylejax.training.config import TrainConfig
from stylejax.training.loop import load_frozen
from stylejax.training.replicas import make_replicas
from stylejax.training.state import init_state
from stylejax.training.tasks import task_of

_SERVE = "from benchmarks.tpu.programs import serve; serve()"


class DoesNotFit(Exception):
  """The step needs more memory than a device has: `needed` bytes (None if unknown)."""

  def __init__(self, needed: float | None):
    super().__init__(f"{needed} bytes")
    self.needed = needed


def shapes(config: TrainConfig) -> tuple[Any, dict[str, jax.ShapeDtypeStruct]]:
  """Shapes and dtypes of a step's state and batch; no arrays are created."""
  state = jax.eval_shape(lambda: init_state(config))
  state = state.replace(frozen=jax.eval_shape(lambda: load_frozen(config)))
  side = config.crop_size
  crops = jax.ShapeDtypeStruct((config.batch, side, side, 3), jnp.uint8)
  batch = dict.fromkeys(config.streams, crops)
  batch["index"] = jax.ShapeDtypeStruct((config.batch,), jnp.int32)
  return state, batch


def lower_step(config: TrainConfig, devices: list) -> jax.stages.Lowered:
  """The trainer's step lowered for these devices; neither weights nor images are created."""
  replicas = make_replicas("shard_map", task_of(config).make_train_step(config), devices=devices)
  return replicas.lower(*shapes(config))


def compiled_facts(config: TrainConfig, place: Slice, cache: Path | None) -> dict[str, Any]:
  """{"cost", "memory", "text", "seconds"} of the step with its machine code; takes minutes.

  Raises:
    DoesNotFit: the compiler found no way to fit it into a device's memory.
  """
  lowered = lower_step(config, place.devices)
  return _fitting(_kept("code", place, lowered, cache, lambda: _compile(lowered)))


def planned_facts(config: TrainConfig, place: Slice, cache: Path | None) -> dict[str, Any]:
  """The same without machine code: "memory" lacks "generated_code".

  Raises:
    DoesNotFit: as `compiled_facts`.
  """
  with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run(
      [sys.executable, "-c", _SERVE, folder],
      input=pickle.dumps((config, place.name, place.slices, cache)),
      env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)},
      stderr=subprocess.PIPE,
    )
    if done.returncode:
      raise RuntimeError(f"{place.title}: {done.stderr.decode(errors='replace')[-2000:]}")
    return _fitting(json.loads(Path(folder, "facts.json").read_text()))


def serve() -> None:
  """Run by the process of `planned_facts`: reads a request from stdin; argv[1] is its folder."""
  folder = Path(sys.argv[1])
  config, name, count, cache = pickle.load(sys.stdin.buffer)
  place = find_slice(name, slices=count)
  lowered = lower_step(config, place.devices)
  facts = _kept("plan", place, lowered, cache, lambda: _plan(lowered, folder / "dump"))
  (folder / "facts.json").write_text(json.dumps(facts))
  os._exit(0)  # The compiler is still making the code and can't be told to stop.


def _fitting(facts: dict) -> dict[str, Any]:
  if "needed" in facts:
    raise DoesNotFit(facts["needed"])
  return facts


def _kept(kind: str, place: Slice, lowered, cache: Path | None, make: Callable[[], dict]) -> dict:
  """What `make` returns, from the cache if the same program is there."""
  import libtpu

  options = str(training_options(place.devices[0]))
  about = [kind, place.title, jax.__version__, libtpu.__version__, options, lowered.as_text()]
  key = hashlib.sha256("\n".join(about).encode()).hexdigest()[:24]
  name = place.title.replace(":", "-").replace(" × ", "x")
  cached = cache / f"{name}-{kind}-{key}.json.gz" if cache else None
  if cached is not None and cached.exists():
    return json.loads(gzip.decompress(cached.read_bytes()))
  facts = make()
  if cached is not None:
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(gzip.compress(json.dumps(facts).encode()))
  return facts


def _compile(lowered: jax.stages.Lowered) -> dict[str, Any]:
  start = time.perf_counter()
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    return _refused(error)
  memory = compiled.memory_analysis()
  parts = ("argument", "output", "alias", "temp", "generated_code")
  return {
    "cost": {"flops": compiled.cost_analysis()["flops"]},
    "memory": {name: getattr(memory, f"{name}_size_in_bytes") for name in parts},
    "text": compiled.as_text(),
    "seconds": time.perf_counter() - start,
  }


def _refused(error: Exception) -> dict[str, Any]:
  if "RESOURCE_EXHAUSTED" not in str(error):
    raise error
  return {"needed": memory_needed(str(error))}


def _plan(lowered: jax.stages.Lowered, folder: Path) -> dict[str, Any]:
  errors: list[Exception] = []

  def compile_with_dumps() -> None:
    options = {"xla_dump_to": str(folder), "xla_dump_hlo_as_text": True}
    try:
      lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
      errors.append(error)

  compiling, start = threading.Thread(target=compile_with_dumps, daemon=True), time.perf_counter()
  compiling.start()
  while compiling.is_alive() and _written(folder) is None:
    time.sleep(0.2)
  seconds = time.perf_counter() - start
  if errors:
    return _refused(errors[0])
  text = _written(folder)
  assert text is not None
  module = _hlo.hlo_module_from_text(text)
  cost = _jax.hlo_module_cost_analysis(jax.devices("cpu")[0].client, module)
  (buffers,) = folder.glob("*.after_optimizations-buffer-assignment.txt")
  return {
    "cost": {"flops": cost["flops"]},
    "memory": memory_of(buffers.read_text()),
    "text": module.to_string(),  # formatted as by `compiled.as_text()`
    "seconds": seconds,
  }


def _written(folder: Path) -> str | None:
  """The plan, the last file that is written before the code is made; None until it is complete."""
  for path in folder.glob("*.after_optimizations_after_buffer_assignment.txt"):
    text = path.read_text()
    if text.rstrip().endswith("}"):
      return text
  return None


def memory_of(buffers: str) -> dict[str, int]:
  """Bytes of HBM by the compiler's list of buffers, as `memory_analysis` names them.

  A buffer that is both argument and output counts as both and as alias. Buffers of a color other
  than 0 are in faster memories.
  """
  sizes = dict.fromkeys(("argument", "output", "alias", "temp"), 0)
  for number, about in re.findall(r"^allocation \d+: size (\d+), (.*)$", buffers, re.MULTILINE):
    if re.search(r"\bcolor [1-9]|\bthread-local\b", about):
      continue
    kinds = {"argument": "parameter " in about, "output": "maybe-live-out" in about}
    kinds |= {"alias": all(kinds.values()), "temp": not any(kinds.values())}
    for kind, counts in kinds.items():
      sizes[kind] += int(number) * counts
  return sizes
