"""Steps that are compiled once for each shape and kept on disk, ready to run.

JAX's cache of compiled programs still leaves a new process to trace the nets in Python and to lower
what it traced, which takes longer than stylizing an image. So whole executables are kept here,
found by code and shapes alone; after an update of the code, by what was traced.

Whoever waits for a first image may have programs that are compiled in half the time and run half as
fast (`quick_first`); `compile_pending`, in a process that nobody waits for, makes the others.
"""

import contextlib
import contextvars
import functools
import hashlib
import importlib
import json
import os
import pickle
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jaxlib
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from stylejax.runtime.files import replacing
from stylejax.runtime.jit import CPU_OPTIONS, OLDER_EMITTERS, quick_options, stylizing_options
from stylejax.runtime.locks import locked
from stylejax.runtime.temporary import sweep

SETTINGS = (
  "jax_enable_x64",
  "jax_default_matmul_precision",
  "jax_numpy_dtype_promotion",
  "jax_default_prng_impl",
  "jax_threefry_partitionable",
)
"""What a program depends on among JAX's settings."""


@functools.cache
def compiled_step(step: Callable) -> Callable:
  """A step under `jax.jit`, compiled only if no earlier process has compiled it for these shapes.

  Programs go to a folder within JAX's cache of compiled programs; without such a cache, and where
  it can't be written, this is `jax.jit` and no more. For one device. Like what is in JAX's cache,
  these programs are code that is run: who may write there may do what its user may.

  Args:
    step: a pure function of this package, at the top level of its module.

  Returns:
    A function of the same arguments.
  """

  @functools.cache
  def plain():  # asking for the options takes as long as reading a program
    return jax.jit(step, compiler_options=stylizing_options())

  ready: dict[object, Callable] = {}

  def call(*arguments, **controls):
    folder = _folder()
    leaves, tree = jax.tree.flatten((arguments, controls))
    if folder is None:
      result = plain()(*arguments, **controls)
    else:
      shapes = tree, tuple((jax.numpy.shape(x), jax.dtypes.result_type(x)) for x in leaves)
      if shapes not in ready:
        about = f"{_origin()} {step.__module__}.{step.__qualname__} {shapes}"
        file = folder / f"{step.__name__}-{hashlib.sha256(about.encode()).hexdigest()}.key"
        ready[shapes] = _program(step, plain, file, arguments, controls)
      result = ready[shapes](*arguments, **controls)
    call.shapes.add(tuple(map(jax.numpy.shape, leaves)))  # not before: a failed call leaves none
    return result

  call.shapes = set()
  return call


@contextlib.contextmanager
def quick_first() -> Iterator[list[Path]]:
  """Within it, steps of small arguments that were never compiled are compiled quickly.

  Yields:
    A list of what `compile_pending` has to compile again, as it grows.
  """
  token = _PENDING.set([])
  try:
    yield _PENDING.get()
  finally:
    _PENDING.reset(token)


def compile_pending() -> None:
  """Compiles what has run in quick programs, and removes those; one process at a time.

  Raises:
    InputError: another process is at it.
  """
  folder = _folder()
  if folder is None or not folder.is_dir():
    return
  with locked(folder / "pending", "cache", patience=0):
    for path in sorted(folder.glob("*.pending")):
      key, quick = path.with_suffix(".key"), path.with_suffix(".quick")
      data = _read_checked(path)
      if data is not None and not key.exists():
        module, name, arguments, controls = pickle.loads(data)
        step = getattr(importlib.import_module(module), name)
        plain = jax.jit(step, compiler_options=stylizing_options())
        tree = jax.tree.structure((arguments, controls))
        _compile(plain.lower(*arguments, **controls), key, tree)
      program = _read_checked(quick)
      for done in (path, quick, *([folder / program.decode()] if program else [])):
        done.unlink(missing_ok=True)


_PENDING: contextvars.ContextVar[list[Path] | None] = contextvars.ContextVar(
  "pending", default=None
)
_QUICK_ELEMENTS = 24_000_000  # of the arguments: weights, an image of 1,024 × 1,024, its features


def _program(
  step: Callable, plain: Callable, file: Path, arguments: tuple, controls: dict
) -> jax.stages.Compiled:
  """Reads the program that a file names, or compiles it."""
  leaves, tree = jax.tree.flatten((arguments, controls))
  program = _read(file, tree)
  if program is not None:
    return program
  # Not the arrays themselves: on which device they were made, and how, would be in the text.
  arguments, controls = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(jax.numpy.shape(x), jax.dtypes.result_type(x)),
    (arguments, controls),
  )
  pending, quick = _PENDING.get(), file.with_suffix(".quick")
  large = sum(map(jax.numpy.size, leaves)) > _QUICK_ELEMENTS
  if pending is None or large or not quick_options():
    program = _compile(plain().lower(*arguments, **controls), file, tree)
    _note_shapes(step, leaves)
    return program
  program = _read(quick, tree)
  if program is None:
    program = _compile(plain().lower(*arguments, **controls), quick, tree, options=quick_options())
    about = step.__module__, step.__name__, arguments, controls
    _write(file.with_suffix(".pending"), pickle.dumps(about))
    _note_shapes(step, leaves)
  pending.append(file.with_suffix(".pending"))
  return program


def known_shapes(step: Callable) -> set[tuple[tuple[int, ...], ...]]:
  """Shapes of the arguments' leaves for which an earlier call or process has compiled a step.

  Args:
    step: as `compiled_step` takes it.

  Returns:
    A tuple of shapes for each program.
  """
  folder, shapes = _folder(), set(compiled_step(step).shapes)
  if folder is not None:
    with contextlib.suppress(OSError):  # without the list only time is lost
      lines = _shapes_file(step, folder).read_bytes().splitlines()
      shapes |= {each for each in map(_parse_shapes, lines) if each is not None}
  return shapes


def _parse_shapes(line: bytes) -> tuple[tuple[int, ...], ...] | None:
  """The shapes that a line holds; None for one that is damaged."""
  try:
    shapes = json.loads(line)
  except (ValueError, RecursionError):
    return None
  if not isinstance(shapes, list) or not all(isinstance(shape, list) for shape in shapes):
    return None
  if not all(type(side) is int for shape in shapes for side in shape):
    return None
  return tuple(map(tuple, shapes))


def _note_shapes(step: Callable, leaves: list) -> None:
  """Adds a line to the list of a step's shapes, in one write: processes don't mix theirs."""
  line = json.dumps([jax.numpy.shape(leaf) for leaf in leaves]) + "\n"
  with contextlib.suppress(OSError), _shapes_file(step, _folder()).open("a") as file:
    file.write(line)


def _shapes_file(step: Callable, folder: Path) -> Path:
  about = f"{_origin()} {step.__module__}.{step.__qualname__}"
  return folder / f"{hashlib.sha256(about.encode()).hexdigest()}.shapes"


def _folder() -> Path | None:
  folder = jax.config.jax_compilation_cache_dir
  return Path(folder) / "programs" if folder and Path(folder).is_dir() else None


def _compile(
  lowered: jax.stages.Lowered, file: Path, tree, *, options: Mapping[str, Any] | None = None
) -> jax.stages.Compiled:
  """Finds the program that this text was compiled to, or compiles it; `file` then names it.

  With JAX's own cache off: on CPUs (jax 0.10.2) a program that comes from there is written down
  without its functions, and whoever reads it fails at the first call.
  """
  text = lowered.as_text()
  about = f"{_target()} {options or ''} {text}"
  name = f"{file.name.split('-')[0]}-{hashlib.sha256(about.encode()).hexdigest()}.program"
  kept = file.parent / name
  program = _read_program(kept, tree)
  if program is None:
    with _without_cache_of_jax():
      program = lowered.compile(compiler_options=dict(options) if options else None)
    with contextlib.suppress(Exception):  # a backend whose programs can't be written
      executable, _, outputs = serialize(program)
      # Trees of our own classes have no form on disk, but their members have.
      skeleton = jax.tree.unflatten(outputs, range(outputs.num_leaves))
      _write(kept, pickle.dumps((executable, skeleton, "lapack" in text)))
  _write(file, name.encode())
  return program


def _read(file: Path, tree) -> jax.stages.Compiled | None:
  """The program for arguments of this tree that a file names; None where there is none."""
  name = _read_checked(file)
  return None if name is None else _read_program(file.parent / name.decode(), tree)


def _read_program(path: Path, tree) -> jax.stages.Compiled | None:
  data = _read_checked(path)
  if data is None:
    return None
  with contextlib.suppress(Exception):  # whatever the reader raises at what it can't run
    executable, skeleton, lapack = pickle.loads(data)
    if lapack:
      _load_lapack()
    device = jax.local_devices()[0]
    outputs = jax.tree.structure(skeleton)
    return deserialize_and_load(
      executable, tree, outputs, backend=device.client, execution_devices=[device]
    )
  return None


@functools.cache
def _load_lapack() -> None:
  """Has JAX find SciPy's LAPACK, which it does when it lowers a step that needs it.

  A program from disk is lowered no more, and without that would call what is not there.
  """
  jax.jit(jax.numpy.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), jax.numpy.float32))


def _read_checked(path: Path) -> bytes | None:
  """What `_write` wrote; None for what is missing or damaged, which is then written anew."""
  try:
    data = path.read_bytes()
  except OSError:
    return None
  return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def _write(path: Path, data: bytes) -> None:
  """Keeps the data if that is possible; the image doesn't depend on it."""
  with contextlib.suppress(OSError):
    path.parent.mkdir(exist_ok=True)
    sweep(path.parent)
    with replacing(path) as temporary:
      temporary.write_bytes(hashlib.sha256(data).digest() + data)


@contextlib.contextmanager
def _without_cache_of_jax() -> Iterator[None]:
  name = "jax_enable_compilation_cache"
  before = getattr(jax.config, name)
  jax.config.update(name, False)
  reset_cache()  # it looks at the setting only once
  try:
    yield
  finally:
    jax.config.update(name, before)
    reset_cache()


@functools.cache
def _sources() -> str:
  """A digest of the package's code: after any edit or move, nothing kept before is found."""
  package = Path(__file__).resolve().parents[1]
  digest = hashlib.sha256()
  for path in sorted(package.rglob("*.py")):
    digest.update(path.relative_to(package).as_posix().encode())
    digest.update(path.read_bytes())
  return digest.hexdigest()


@functools.cache
def _processor() -> str:
  """What programs for CPUs are compiled for: on Linux with its instruction sets."""
  with contextlib.suppress(OSError):
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    about = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(dict.fromkeys(about))
  return f"{platform.machine()} {platform.processor()} {platform.node()}"


def _target() -> str:
  """What a program is compiled by, and for."""
  device = jax.local_devices()[0]
  about = (
    jax.__version__,
    jaxlib.__version__,
    device.platform,
    device.device_kind,
    device.client.platform_version,
    _processor(),
    os.environ.get("XLA_FLAGS"),
    CPU_OPTIONS,
    OLDER_EMITTERS,
  )
  return repr(about)


def _origin() -> str:
  """Everything but step and shapes that a program depends on."""
  settings = [getattr(jax.config, name, None) for name in SETTINGS]
  return f"{_sources()} {metadata.version('flax')} {settings} {_target()}"
