"""The training loop: images in, steps on the devices, metrics, grids and checkpoints out."""

import contextlib
import dataclasses
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylejax.data.pipeline import Batches, make_batches, prefetch_to_device
from stylejax.errors import InputError
from stylejax.models.config import PRESETS, ModelConfig
from stylejax.runtime import distributed
from stylejax.runtime.distributed import say
from stylejax.runtime.files import replacing
from stylejax.runtime.jit import compiler_options
from stylejax.runtime.stores import is_url
from stylejax.runtime.watch import Watch
from stylejax.training import checkpoint, monitor, resume
from stylejax.training.config import TrainConfig
from stylejax.training.folder import open_folder
from stylejax.training.replicas import check_batch, local, make_replicas, require_determinism
from stylejax.training.saved import from_saved, parsed_config
from stylejax.training.shared_checkpoints import SharedCheckpoints
from stylejax.training.state import TrainState, init_state
from stylejax.training.streams import open_streams, preview_images
from stylejax.training.tasks import TransferConfig, task_of
from stylejax.transfer import Params
from stylejax.weights.perceptual import load_resnet, load_vgg

_logger = logging.getLogger("stylejax")


def train(config: TrainConfig, *, read_weights: Callable[[Path], Params] | None = None) -> int:
  """Trains to the end, or until SIGINT or SIGTERM, upon which it saves and stops.

  Args:
    config: the settings; the task is that of their class, and the workdir is made if need be.
    read_weights: reads what `init_from` or `teacher` names if that is not a run's folder; with
      None, only such folders can be read.

  Returns:
    The step that the run reached, which is config.steps unless it was stopped; 0 for a dry run.

  Raises:
    InputError: folders, files, sizes or checkpoints don't fit; it is raised before compiling.
    FloatingPointError: a loss became NaN or Inf; earlier checkpoints are kept.
  """
  config.check()
  folder = open_folder(config.workdir)
  if config.deterministic:
    require_determinism()
  distributed.join(
    required=config.distributed,
    coordinator=config.coordinator,
    processes=config.processes,
    process=config.process,
    deadline=config.deadline,
  )
  check_batch(config.batch, group=config.group * config.accumulate)
  if config.dry_run:
    open_streams(config)
    dry_run(config, _replicas(config), read_weights=read_weights)
    return 0
  with folder.held(keep=config.keep):
    saved = _saved(config, folder)
    if saved is not None:
      config = resume.merge_saved(config, saved, folder.name)
    content, style = open_streams(config)
    frozen = load_frozen(config, read_weights=read_weights)
    from_other = saved is None and config.init_from is not None
    other = _load_weights(config.init_from, read_weights) if from_other else None
    say(f"{config.task}: creating and compiling the nets, which takes seconds to minutes")
    with _checkpoints(config, folder) as checkpoints:
      state, position = _start(config, checkpoints, other)
      start = int(state.step)
      if start >= config.steps:
        say(f"{folder.name}: already at step {start} of {config.steps}; --steps sets more")
        return start
      batches = _batches(config, content, style, start)
      if position is not None:
        batches.restore(position)
      # All input has been accepted by now.
      _write_down(config, saved, folder, start)
      run = _Run(config, folder, checkpoints, batches, content, style)
      step = run.to_end(state.replace(frozen=frozen), start)
  if batches.skipped:
    say(f"skipped {len(batches.skipped)} unreadable files")
  say(
    f"{folder.name}: saved at step {step}"
    + ("" if step == config.steps else f" of {config.steps}; continue with --resume")
  )
  return step


def _batches(config: TrainConfig, content, style, start: int) -> Batches:
  """This process's batches of a run, from step `start` on."""
  return make_batches(
    content,
    style,
    batch=config.batch,
    size=config.crop_size,
    seed=config.seed,
    start_step=start,
    content_scale=config.content_scale,
    style_scale=config.style_scale,
    workers=config.workers,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )


def _saved(config: TrainConfig, folder) -> TrainConfig | None:
  """The config of the run in the folder, which is to be resumed, or None if there is no run."""
  reached = folder.newest_step()
  if reached is None:
    return None
  if not config.resume:
    raise InputError(
      f"--workdir: found a run at step {reached} in {folder.name}, expected a new "
      "folder, or --resume to continue"
    )
  return from_saved(parsed_config(folder.config_text(), folder.name))


def _checkpoints(config: TrainConfig, folder):
  """Opens a folder's checkpoints: in every process or, for one in storage, in process 0 for all."""
  if folder.shared or not distributed.several():
    return checkpoint.Checkpoints(folder.path, keep=config.keep, name=folder.name)
  return SharedCheckpoints(
    checkpoint.Checkpoints(folder.path, keep=config.keep, alone=True, name=folder.name)
    if distributed.leads()
    else None
  )


def _write_down(config: TrainConfig, saved: TrainConfig | None, folder, start: int) -> None:
  """Writes config.json; records and prints which settings have changed since the last start."""
  changed = resume.changes(config, saved) if saved is not None else {}
  if changed:
    say(f"{folder.name}: continues at step {start} with {resume.line(changed)}")
  if distributed.leads():
    if changed:
      resume.record(folder.path, start, changed)
    with replacing(folder.path / "config.json") as unfinished:
      unfinished.write_text(config.to_json() + "\n")


def _replicas(config: TrainConfig):
  return make_replicas(
    config.parallel, task_of(config).make_train_step(config), slices=config.slices
  )


class _Run:
  """The loop with the objects that it needs; there is one per run."""

  def __init__(self, config, folder, checkpoints, batches, content, style):
    self._config, self._folder = config, folder
    self._checkpoints, self._batches = checkpoints, batches
    self._replicas = _replicas(config)
    self._examples = preview_images(content, style, config.size)
    self._preview = jax.jit(task_of(config).preview, compiler_options=compiler_options())

  def to_end(self, state: TrainState, start: int) -> int:
    """Trains until done or interrupted, saves, and returns the step reached."""
    config, batches = self._config, self._batches
    monitors = monitor.Monitor if distributed.leads() else monitor.Silent
    with (
      contextlib.closing(batches),
      monitors(
        self._folder.path,
        steps=config.steps,
        start=start,
        batch=config.batch,
        description=config.task,
      ) as self._shown,
      _logged_to(self._shown),
      prefetch_to_device(batches, self._replicas.put_batch) as ready,
      distributed.Interrupt(config.log_every) as interrupt,
      Watch(deadline=config.deadline) as self._watch,
    ):
      return self._loop(self._replicas.put_state(state), ready, start, interrupt)

  def _loop(self, state: TrainState, ready, step: int, interrupt: distributed.Interrupt) -> int:
    config = self._config
    pending, since, timed = [], None, 0
    stops = interrupt.stops(step)
    while step < config.steps and not stops:
      self._watch.note(f"step {step + 1}", limited=since is not None)
      state, metrics = self._replicas.step(state, next(ready))
      pending.append(metrics)
      step += 1
      timed += 1
      due = step % config.save_every == 0 or step == config.steps
      grid = config.grid_every and (step % config.grid_every == 0 or step == config.steps)
      if since is None:
        # The first step compiles, which says nothing about the rate.
        jax.block_until_ready(metrics)
        self._shown.compiled(step)
        since, timed = time.monotonic(), 0
      stops = interrupt.stops(step)
      if step % config.log_every == 0 or due or grid or stops:
        # Fetching waits for the device, so all losses since the last log are checked at once.
        self._log(step, pending, since, timed)
        pending, since, timed = [], time.monotonic(), 0
      if grid:
        self._watch.note(f"the grid of step {step}", limited=False)
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
            f"up to step {self._checkpoints.latest_step() or 0} are kept"
          )
    self._checkpoints.check()
    self._folder.check()
    mean = {name: float(np.mean([m[name] for m in fetched])) for name in fetched[0]}
    self._shown.log(step, mean, (time.monotonic() - since) / timed if timed else None)

  def _save(self, state: TrainState, step: int) -> None:
    self._watch.note(f"the checkpoint of step {step}", limited=False)
    self._checkpoints.save(
      self._replicas.take_state(state),
      self._batches.state() | {"step": step},
      self._config.to_json(),
      make_room=self._folder.make_room,
    )

  def _grid(self, state: TrainState, step: int) -> None:
    if not distributed.leads():
      return
    params = local(self._replicas.take_state(state.ema_params))
    self._shown.grid(step, np.asarray(self._preview(params, *self._examples)))


def load_frozen(
  config: TrainConfig, *, read_weights: Callable[[Path], Params] | None = None
) -> dict | None:
  """Loads the perceptual nets that a config's losses use, and its teacher, by name.

  read_weights is as in `train`.
  """
  loaders = {"vgg16": lambda: load_vgg(config.vgg), "resnet50": load_resnet}
  frozen: dict[str, Any] = {name: loaders[name]() for name in config.perceptual_nets}
  if config.teacher is not None:
    command, weights = _load_weights(config.teacher, read_weights)
    if command != "transfer":
      raise InputError(f"--teacher: found a {command} run, expected a transfer run or its weights")
    missing = [part for part in TransferConfig.trained if getattr(weights, part) is None]
    if missing:
      raise InputError(
        f"--teacher: found weights without {', '.join(missing)}, expected all that stylizes"
      )
    frozen["teacher"] = weights.replace(discriminator=None, noise_generator=None)
  return frozen or None


def dry_run(
  config: TrainConfig, replicas, *, read_weights: Callable[[Path], Params] | None = None
) -> None:
  """Compiles the step and prints its parameters, FLOPs and memory, without training."""
  state = jax.eval_shape(lambda: init_state(config))
  state = state.replace(
    frozen=jax.eval_shape(lambda: load_frozen(config, read_weights=read_weights))
  )
  size = config.crop_size
  local_batch = config.batch // jax.process_count()
  crops = np.zeros((local_batch, size, size, 3), np.uint8)
  batch = dict.fromkeys(config.streams, crops)
  batch = replicas.put_batch(batch | {"index": np.arange(local_batch, dtype=np.int32)})
  compiled = replicas.lower(state, batch).compile()
  cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
  parts = config.trained + (("discriminator",) if config.uses_discriminator else ())
  say(
    f"{config.task}, preset {config.preset}, batch {config.batch}, {size} px, "
    f"{len(jax.devices())} device(s)"
  )
  for part in parts:
    count = sum(x.size for x in jax.tree.leaves(getattr(state.params, part)))
    say(f"  {part:16} {count:>12,} parameters")
  peak = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes
  )
  say(f"  FLOPs of a step  {cost['flops'] / 1e9:>12,.1f} GFLOP per device")
  say(
    f"  memory of a step {peak / 2**20:>12,.1f} MiB per device, of which the state "
    f"{memory.argument_size_in_bytes / 2**20:,.1f} MiB"
  )


def _start(config: TrainConfig, checkpoints, other):
  """(state, data position) of a checkpoint, or (new state, None), with other weights if given."""
  make = jax.jit(lambda: init_state(config))
  if checkpoints.latest_step() is not None:
    return checkpoints.restore(jax.eval_shape(make))
  return (_with_weights_of(other, make()) if other else make()), None


def load_run(workdir: str | os.PathLike) -> tuple[dict, TrainState]:
  """Reads a run's config.json and the state in its newest checkpoint.

  Args:
    workdir: the run's folder, a path or a URL.

  Returns:
    (fields of config.json, state).

  Raises:
    InputError: workdir is not a run's folder, or has no checkpoint.
    OSError: the storage can't be read.
  """
  place = os.fspath(workdir)
  folder = open_folder(place)
  saved = parsed_config(folder.config_text(), place)
  config = from_saved(saved)
  like = jax.eval_shape(lambda: init_state(config))
  if folder.newest_step() is None:
    raise InputError(f"workdir: found no checkpoint in {place}, expected a run's folder")
  with (
    folder.copied() as path,
    checkpoint.Checkpoints(
      path, read_only=True, alone=not folder.shared, name=place
    ) as checkpoints,
  ):
    return saved, checkpoints.restore(like)[0]


def _load_weights(place: str, read: Callable[[Path], Params] | None) -> tuple[str, Params]:
  """(command, averaged weights) of a run's folder; for a weights file, command is "transfer"."""
  if read is None or is_url(place) or os.path.isdir(place):
    saved, state = load_run(place)
    return saved["command"], state.ema_params
  return "transfer", read(Path(place))


def _preset_of(model: ModelConfig) -> str | None:
  """The preset with the sizes of a model, if any."""
  for name, preset in PRESETS.items():
    if preset == dataclasses.replace(model, name=preset.name, dtype=preset.dtype):
      return name
  return None


def _with_weights_of(other: tuple[str, Params], state: TrainState) -> TrainState:
  """Takes over those averaged weights that exist; the rest stays as initialized."""
  command, weights = other
  taken = {}
  for part in (*TransferConfig.trained, "discriminator"):
    theirs, ours = getattr(weights, part), getattr(state.params, part)
    if theirs is None or (part == "discriminator" and command != "transfer"):
      continue
    if part == "generator" and command == "autoencoder":
      # An autoencoder trains without style: the decoder is all that it knows of the generator.
      theirs = {**ours, "decoder": theirs["decoder"]}
    if jax.tree.map(np.shape, theirs) != jax.tree.map(np.shape, ours):
      preset = _preset_of(weights.config)
      found = f"other sizes (those of --preset {preset})" if preset else "other sizes"
      raise InputError(f"--init-from: found {found}, expected those of this run's preset")
    taken[part] = theirs
  if not taken:
    raise InputError(f"--init-from: found a {command} run, expected an autoencoder or transfer run")
  return state.replace(
    params=state.params.replace(**taken),
    ema_params=jax.tree.map(np.copy, state.ema_params.replace(**taken)),
  )


@contextlib.contextmanager
def _logged_to(shown: monitor.Monitor):
  """Sends the library's warnings to the progress bar's console within the context."""
  handler = logging.Handler()
  handler.emit = lambda record: shown.say(record.getMessage())
  before = _logger.handlers, _logger.propagate
  _logger.handlers, _logger.propagate = [handler], False
  try:
    yield
  finally:
    _logger.handlers, _logger.propagate = before
