"""Compiles steps once for each shape and keeps the executables on disk, ready to run.

With JAX's own compilation cache, a new process still has to trace the networks in Python and lower
them, which takes longer than stylizing an image. So whole executables are kept here, found by the
code and shapes alone or, after the code has changed, by the lowered program's text.

For a first image, programs may be compiled in half the time and run half as fast (`quick_first`);
`compile_pending` compiles the optimized ones later, in a background process.
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
"""JAX's settings that a program depends on."""


@functools.cache
def compiled_step(
  step: Callable, *, options: Callable[[], dict[str, Any]] | None = None
) -> Callable:
  """Like `jax.jit`, but compiles only if no earlier process has compiled it for these shapes.

  Programs are kept in a folder inside JAX's compilation cache; without one, or if it can't be
  written to, this is the same as `jax.jit`. It supports one device. As in JAX's cache, the programs
  are executable code: whoever can write there can act as the user who runs them.

  Args:
    step: a pure function of this package, at the top level of its module.
    options: gives the options for `jax.jit`, the same for every use of a step; None:
      `stylizing_options`, which suit steps that are compiled for many sizes.

  Returns:
    A function with the same arguments.
  """

  @functools.cache
  def plain():  # lazy, because finding the options takes as long as reading a program
    return jax.jit(step, compiler_options=(options or stylizing_options)())

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
    call.shapes.add(tuple(map(jax.numpy.shape, leaves)))  # only after the call has succeeded
    return result

  call.shapes = set()
  return call


@contextlib.contextmanager
def quick_first() -> Iterator[list[Path]]:
  """Inside the block, steps with small arguments that were never compiled are compiled quickly.

  Yields:
    A list that grows by what `compile_pending` has to compile again.
  """
  token = _PENDING.set([])
  try:
    yield _PENDING.get()
  finally:
    _PENDING.reset(token)


def compile_pending() -> None:
  """Fully compiles what was compiled quickly, and removes the quick programs.

  Raises:
    InputError: another process is already doing it.
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
# Elements in the arguments up to which a step is compiled quickly: weights, an image of
# 1,024 × 1,024 pixels and its features.
_QUICK_ELEMENTS = 24_000_000


def _program(
  step: Callable, plain: Callable, file: Path, arguments: tuple, controls: dict
) -> jax.stages.Compiled:
  """Reads the program that `file` names, or compiles it."""
  leaves, tree = jax.tree.flatten((arguments, controls))
  program = _read(file, tree)
  if program is not None:
    return program
  # Not the arrays themselves: the lowered text would depend on their device and sharding.
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
  """The shapes of the arguments' leaves for which a step has already been compiled.

  Args:
    step: as for `compiled_step`.

  Returns:
    A tuple of shapes for each program.
  """
  folder, shapes = _folder(), set(compiled_step(step).shapes)
  if folder is not None:
    with contextlib.suppress(OSError):  # a missing list only costs time
      lines = _shapes_file(step, folder).read_bytes().splitlines()
      shapes |= {each for each in map(_parse_shapes, lines) if each is not None}
  return shapes


def _parse_shapes(line: bytes) -> tuple[tuple[int, ...], ...] | None:
  """The shapes in a line; None if the line is damaged."""
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
  """Appends a line to the list of a step's shapes, in one write, so that lines don't mix."""
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
  """Finds or compiles the program of a lowered step, and makes `file` name it.

  JAX's own cache is disabled meanwhile: on CPUs (jax 0.10.2), a program from it is serialized
  without its functions, and fails at the first call after it is read.
  """
  text = lowered.as_text()
  about = f"{_target()} {options or ''} {text}"
  name = f"{file.name.split('-')[0]}-{hashlib.sha256(about.encode()).hexdigest()}.program"
  kept = file.parent / name
  program = _read_program(kept, tree)
  if program is None:
    with _without_cache_of_jax():
      program = lowered.compile(compiler_options=dict(options) if options else None)
    with contextlib.suppress(Exception):  # a backend whose programs can't be serialized
      executable, _, outputs = serialize(program)
      # Tree structures with our own classes can't be pickled, but a tree of indices can.
      skeleton = jax.tree.unflatten(outputs, range(outputs.num_leaves))
      _write(kept, pickle.dumps((executable, skeleton, "lapack" in text)))
  _write(file, name.encode())
  return program


def _read(file: Path, tree) -> jax.stages.Compiled | None:
  """The program that a file names, for arguments of this tree structure; None if there is none."""
  name = _read_checked(file)
  return None if name is None else _read_program(file.parent / name.decode(), tree)


def _read_program(path: Path, tree) -> jax.stages.Compiled | None:
  data = _read_checked(path)
  if data is None:
    return None
  with contextlib.suppress(Exception):  # the reader may raise anything for an unusable program
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
  """Makes JAX load SciPy's LAPACK, as it does when it lowers a step that needs it.

  A program from disk isn't lowered again, and would otherwise call missing functions.
  """
  jax.jit(jax.numpy.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), jax.numpy.float32))


def _read_checked(path: Path) -> bytes | None:
  """The data that `_write` wrote; None if the file is missing or damaged."""
  try:
    data = path.read_bytes()
  except OSError:
    return None
  return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def _write(path: Path, data: bytes) -> None:
  """Writes the data with a checksum; errors are ignored, because the cache is optional."""
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
  reset_cache()  # JAX reads the setting only once
  try:
    yield
  finally:
    jax.config.update(name, before)
    reset_cache()


@functools.cache
def _sources() -> str:
  """A digest of the package's code, which any change to a file or its name changes."""
  package = Path(__file__).resolve().parents[1]
  digest = hashlib.sha256()
  for path in sorted(package.rglob("*.py")):
    digest.update(path.relative_to(package).as_posix().encode())
    digest.update(path.read_bytes())
  return digest.hexdigest()


@functools.cache
def _processor() -> str:
  """Identifies the CPU that programs are compiled for; on Linux, with its instruction sets."""
  with contextlib.suppress(OSError):
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    about = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(dict.fromkeys(about))
  return f"{platform.machine()} {platform.processor()} {platform.node()}"


def _target() -> str:
  """Identifies the compiler and the device that a program is compiled for."""
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
  """Everything that a program depends on apart from its step and shapes."""
  settings = [getattr(jax.config, name, None) for name in SETTINGS]
  return f"{_sources()} {metadata.version('flax')} {settings} {_target()}"
