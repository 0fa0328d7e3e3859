"""The training loop: pictures in, steps on the devices, metrics, grids and checkpoints out."""

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from stylejax import distributed
from stylejax.compiler import compiler_options
from stylejax.data.perceptual import load_resnet, load_vgg
from stylejax.data.pipeline import make_batches, prefetch_to_device
from stylejax.data.shards import Joined
from stylejax.data.sources import open_pictures, require_readable
from stylejax.data.transforms import random_resized_crop
from stylejax.errors import InputError
from stylejax.images.decode import decode_rgb
from stylejax.runtime.files import printable
from stylejax.training import checkpoint, monitor, parallel
from stylejax.training.config import TrainConfig
from stylejax.training.saved import from_saved, saved_config
from stylejax.training.state import TrainState, init_state
from stylejax.training.tasks import TransferConfig, task_of
from stylejax.transfer import Params

PREVIEW_ROWS = 4
"""Images of each stream that grids show."""

SAMPLES = Path(__file__).parent.parent / "assets" / "samples"
_logger = logging.getLogger("stylejax")


def train(config: TrainConfig, read_weights: Callable[[Path], Params] | None = None) -> None:
  """Runs a training to its end, or to the SIGINT or SIGTERM that saves it and stops.

  Args:
    config: of the command to run; its workdir is made if need be.
    read_weights: reads what `init_from` names if that is no run's folder; None reads such only.

  Raises:
    InputError: folders, files, sizes or checkpoints that don't fit; nothing is compiled before.
    FloatingPointError: a loss became NaN or Inf; the checkpoints before it are kept.
  """
  config.check()
  if config.deterministic:
    parallel.require_determinism()
  distributed.join(config.distributed, config.coordinator, config.processes, config.process)
  parallel.check_batch(config.batch, config.group * config.accumulate)
  content, style = _streams(config)
  replicas = parallel.make_replicas(config.parallel, task_of(config).make_train_step(config))
  if config.dry_run:
    dry_run(config, replicas)
    return
  frozen = load_frozen(config)
  reached = checkpoint.newest_step(config.workdir)
  if reached is not None and not config.resume:
    raise InputError(f"--workdir: found a run at step {reached} in {config.workdir}, expected a "
                     "new folder, or --resume to go on")
  from_other = reached is None and config.init_from is not None
  other = _load_weights(config.init_from, read_weights) if from_other else None
  with checkpoint.Checkpoints(_workdir(config), keep=config.keep) as checkpoints:
    state, position = _start(config, checkpoints, other)
    state = state.replace(frozen=frozen)
    start = int(state.step)
    if start >= config.steps:
      _say(f"{config.workdir}: already at step {start} of {config.steps}; --steps sets more")
      return
    if distributed.leads():
      _write_config(config)
    batches = make_batches(
      content, style, batch=config.batch, size=config.crop_size, seed=config.seed,
      start_step=start, content_scale=config.content_scale, style_scale=config.style_scale,
      workers=config.workers, process_index=jax.process_index(),
      process_count=jax.process_count())
    if position is not None:
      batches.restore(position)
    pictures = _preview_pictures(content, style, config.size)
    monitors = monitor.Monitor if distributed.leads() else monitor.Silent
    with (contextlib.closing(batches),
          monitors(config.workdir, steps=config.steps, start=start, batch=config.batch,
                   description=config.task) as shown,
          _logged_to(shown), prefetch_to_device(batches, replicas.put_batch) as ready,
          distributed.Interrupt(config.log_every) as interrupt):
      state = replicas.put_state(state)
      run = _Run(config, replicas, checkpoints, shown, pictures, batches)
      step = run.to_end(state, ready, start, interrupt)
  if batches.skipped:
    _say(f"skipped {len(batches.skipped)} unreadable files")
  _say(f"{config.workdir}: saved at step {step}"
       + ("" if step == config.steps else f" of {config.steps}; go on with --resume"))


class _Run:
  """What the loop needs at hand; one per run."""

  def __init__(self, config, replicas, checkpoints, shown, pictures, batches):
    self._config, self._replicas = config, replicas
    self._checkpoints, self._shown, self._batches = checkpoints, shown, batches
    self._pictures = pictures
    self._preview = jax.jit(task_of(config).preview, compiler_options=compiler_options())

  def to_end(self, state: TrainState, ready, step: int, interrupt: distributed.Interrupt) -> int:
    """Steps until done or interrupted, saves, and returns the step reached."""
    config = self._config
    pending, since, timed = [], None, 0
    stops = interrupt.stops(step)
    while step < config.steps and not stops:
      state, metrics = self._replicas.step(state, next(ready))
      pending.append(metrics)
      step += 1
      timed += 1
      due = step % config.save_every == 0 or step == config.steps
      grid = config.grid_every and (step % config.grid_every == 0 or step == config.steps)
      if since is None:
        # The first step compiles, which says nothing about the rate.
        jax.block_until_ready(metrics)
        since, timed = time.monotonic(), 0
      stops = interrupt.stops(step)
      if step % config.log_every == 0 or due or grid or stops:
        # Fetching waits for the device, so a check of every loss costs one wait per log.
        self._log(step, pending, since, timed)
        pending, since, timed = [], time.monotonic(), 0
      if grid:
        self._grid(state, step)
        since = time.monotonic()
      if due:
        self._save(state, step)
    self._save(state, step)
    self._checkpoints.wait()
    return step

  def _log(self, step: int, pending: list, since: float, timed: int) -> None:
    fetched = [self._replicas.take_metrics(metrics) for metrics in pending]
    for back, metrics in enumerate(reversed(fetched)):
      for name, value in metrics.items():
        if not math.isfinite(value):
          raise FloatingPointError(
            f"step {step - back}: found {name} = {value}, expected a finite number; checkpoints "
            f"up to step {self._checkpoints.latest_step() or 0} are kept")
    self._checkpoints.check()
    mean = {name: float(np.mean([m[name] for m in fetched])) for name in fetched[0]}
    self._shown.log(step, mean, (time.monotonic() - since) / timed if timed else None)

  def _save(self, state: TrainState, step: int) -> None:
    self._checkpoints.save(self._replicas.take_state(state), self._batches.state() | {"step": step},
                           self._config.to_json())

  def _grid(self, state: TrainState, step: int) -> None:
    if not distributed.leads():
      return
    params = parallel.local(self._replicas.take_state(state.ema_params))
    self._shown.grid(step, np.asarray(self._preview(params, *self._pictures)))


def load_frozen(config: TrainConfig) -> dict | None:
  """Parameters of the perceptual nets that the losses of a config look through, by name."""
  loaders = {"vgg16": lambda: load_vgg(config.vgg), "resnet50": load_resnet}
  return {name: loaders[name]() for name in config.perceptual_nets} or None


def dry_run(config: TrainConfig, replicas) -> None:
  """Compiles the step and prints its parameters, FLOPs and memory; trains nothing."""
  state = jax.eval_shape(lambda: init_state(config))
  state = state.replace(frozen=jax.eval_shape(lambda: load_frozen(config)))
  size = config.crop_size
  share = config.batch // jax.process_count()
  crops = np.zeros((share, size, size, 3), np.uint8)
  batch = {name: crops for name in config.streams}
  batch = replicas.put_batch(batch | {"index": np.arange(share, dtype=np.int32)})
  compiled = replicas.lower(state, batch).compile()
  cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
  parts = config.trained + (("discriminator",) if config.uses_discriminator else ())
  _say(f"{config.task}, preset {config.preset}, batch {config.batch}, {size} px, "
       f"{len(jax.devices())} device(s)")
  for part in parts:
    count = sum(x.size for x in jax.tree.leaves(getattr(state.params, part)))
    _say(f"  {part:16} {count:>12,} parameters")
  peak = (memory.argument_size_in_bytes + memory.output_size_in_bytes
          + memory.temp_size_in_bytes - memory.alias_size_in_bytes)
  _say(f"  FLOPs of a step  {cost['flops'] / 1e9:>12,.1f} GFLOP per device")
  _say(f"  memory of a step {peak / 2**20:>12,.1f} MiB per device, of which the state "
       f"{memory.argument_size_in_bytes / 2**20:,.1f} MiB")


def _start(config: TrainConfig, checkpoints, other):
  """(state, data position or None): a checkpoint's, or fresh with another run's weights if any."""
  make = jax.jit(lambda: init_state(config))
  if checkpoints.latest_step() is not None:
    return checkpoints.restore(jax.eval_shape(make))
  return (_with_weights_of(other, make()) if other else make()), None


def load_run(workdir: Path) -> tuple[dict, TrainState]:
  """(config.json, state) of a run's newest checkpoint.

  Raises:
    InputError: not a run's folder, or it has no checkpoint.
  """
  found = saved_config(workdir)
  config = from_saved(found)
  like = jax.eval_shape(lambda: init_state(config))
  if checkpoint.newest_step(workdir) is None:
    raise InputError(f"workdir: found no checkpoint in {workdir}, expected a run's folder")
  with checkpoint.Checkpoints(workdir, read_only=True) as checkpoints:
    return found, checkpoints.restore(like)[0]


def _load_weights(place: Path, read: Callable[[Path], Params] | None) -> tuple[str, Params]:
  """(command, averaged weights) of a run's folder; of a weights file the command is "transfer"."""
  if read is None or place.is_dir():
    found, state = load_run(place)
    return found["command"], state.ema_params
  return "transfer", read(place)


def _with_weights_of(other: tuple[str, Params], state: TrainState) -> TrainState:
  """Takes over the averaged weights that are there; keeps the rest as initialised."""
  command, weights = other
  taken = {}
  for part in TransferConfig.trained + ("discriminator",):
    theirs, ours = getattr(weights, part), getattr(state.params, part)
    if theirs is None or (part == "discriminator" and command != "transfer"):
      continue
    if part == "generator" and command == "autoencoder":
      # An autoencoder never saw a style: of the generator it knows the decoder.
      theirs = {**ours, "decoder": theirs["decoder"]}
    if jax.tree.map(np.shape, theirs) != jax.tree.map(np.shape, ours):
      raise InputError("--init-from: found other sizes, expected those of this run's preset")
    taken[part] = theirs
  if not taken:
    raise InputError(f"--init-from: found a {command} run, expected an autoencoder or transfer run")
  return state.replace(params=state.params.replace(**taken),
                       ema_params=jax.tree.map(np.copy, state.ema_params.replace(**taken)))


def _streams(config: TrainConfig):
  """Images of the content and the style stream; a task without a style stream sees both in one."""
  content = (_pictures(config, config.content_dir, "--content-dir", "content")
             if "content" in config.streams else None)
  style = _pictures(config, config.style_dir, "--style-dir", "style")
  return (content, style) if "style" in config.streams else (Joined([content, style]), None)


def _pictures(config: TrainConfig, place: str | None, flag: str, sample: str) -> Sequence:
  if place is None:
    _say(f"{flag}: not given, so the {sample} samples of the package are used")
    place = SAMPLES / sample
  pictures = open_pictures(place, flag=flag, tar_images=config.tar_images, say=_say)
  require_readable(pictures, flag)
  return pictures


def _say(message: str) -> None:
  if distributed.leads():
    print(printable(message))


def _preview_pictures(content, style, size: int):
  def crops(paths):
    if paths is None:
      return None
    found = []
    for place in np.random.default_rng(0).permutation(len(paths)):
      try:
        picture = decode_rgb(paths[place])
      except InputError:
        continue
      found.append(random_resized_crop(
        picture, np.random.default_rng(place), size=2 * size, scale=(1.0, 1.0)))
      if len(found) == PREVIEW_ROWS:
        break
    return np.stack([found[i % len(found)] for i in range(PREVIEW_ROWS)])

  return crops(content), crops(style)


def _workdir(config: TrainConfig) -> Path:
  try:
    config.workdir.mkdir(parents=True, exist_ok=True)
    probe = config.workdir / f".writable-{jax.process_index()}"
    probe.touch()
    probe.unlink()
  except OSError as e:
    raise InputError(
      f"--workdir: found {config.workdir} ({e.strerror}), expected a folder that can be written to"
    ) from None
  return config.workdir


def _write_config(config: TrainConfig) -> None:
  unfinished = config.workdir / "config.tmp"
  unfinished.write_text(config.to_json() + "\n")
  os.replace(unfinished, config.workdir / "config.json")


@contextlib.contextmanager
def _logged_to(shown: monitor.Monitor):
  """Sends the library's warnings through the progress bar's console for as long as it is there."""
  handler = logging.Handler()
  handler.emit = lambda record: shown.say(record.getMessage())
  before = _logger.handlers, _logger.propagate
  _logger.handlers, _logger.propagate = [handler], False
  try:
    yield
  finally:
    _logger.handlers, _logger.propagate = before
