"""Steps that are traced once for each shape and kept on disk beside what was compiled of them.

JAX's cache of compiled programs still leaves a new process to trace the nets in Python, which takes
longer than painting an image. So the traced program (`jax.export`) is kept too.
"""

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import flax
import jax

from stylejax.runtime.files import replacing
from stylejax.runtime.jit import compiler_options
from stylejax.runtime.temporary import sweep

FLAGS = (
  "jax_enable_x64",
  "jax_default_matmul_precision",
  "jax_numpy_dtype_promotion",
  "jax_default_prng_impl",
  "jax_threefry_partitionable",
)
"""What a traced program depends on among JAX's settings."""


@functools.cache
def compiled_step(step: Callable) -> Callable:
  """A step under `jax.jit`, traced only if no earlier process has traced it for these shapes.

  What is traced goes to a folder in JAX's cache of compiled programs; without such a cache, and
  where it can't be written, this is `jax.jit` and no more. For one device.

  Args:
    step: a pure function of this package, at the top level of its module.

  Returns:
    A function of the same arguments.
  """
  plain = jax.jit(step, compiler_options=compiler_options())
  ready: dict[object, Callable] = {}

  def call(*arguments, **controls):
    folder = _folder()
    leaves, tree = jax.tree.flatten((arguments, controls))
    if folder is None:
      result = plain(*arguments, **controls)
      call.shapes.add(tuple(map(jax.numpy.shape, leaves)))
      return result
    shapes = tree, tuple((jax.numpy.shape(x), jax.dtypes.result_type(x)) for x in leaves)
    if shapes not in ready:
      about = f"{_origin()} {step.__module__}.{step.__qualname__} {shapes}"
      kept = folder / hashlib.sha256(about.encode()).hexdigest()
      program = _read(kept)
      if program is None:
        program = _write(kept, jax.export.export(plain)(*arguments, **controls))
        _note_shapes(step, leaves)
      ready[shapes] = _jit(step, program)
    result = ready[shapes](*arguments, **controls)
    call.shapes.add(tuple(map(jax.numpy.shape, leaves)))  # not before: a failed call leaves none
    return result

  call.shapes = set()
  return call


def known_shapes(step: Callable) -> set[tuple[tuple[int, ...], ...]]:
  """Shapes of the arguments' leaves for which an earlier call or process has traced a step.

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


def _jit(step: Callable, program: jax.export.Exported) -> Callable:
  """The program as a function that profiles and caches call by the step's name."""

  def run(*arguments, **controls):
    return program.call(*arguments, **controls)

  run.__name__ = step.__name__
  return jax.jit(run, compiler_options=compiler_options())


def _folder() -> Path | None:
  folder = jax.config.jax_compilation_cache_dir
  return Path(folder) / "traces" if folder and Path(folder).is_dir() else None


def _read(path: Path) -> jax.export.Exported | None:
  try:
    data = path.read_bytes()
  except OSError:
    return None
  digest, program = data[:32], data[32:]
  # The reader checks nothing; a file cut short is traced anew and replaced.
  if hashlib.sha256(program).digest() != digest:
    return None
  return jax.export.deserialize(bytearray(program))


def _write(path: Path, program: jax.export.Exported) -> jax.export.Exported:
  """Keeps the program if that is possible; the image doesn't depend on it."""
  with contextlib.suppress(OSError):
    path.parent.mkdir(exist_ok=True)
    sweep(path.parent)
    data = program.serialize()
    with replacing(path) as temporary:
      temporary.write_bytes(hashlib.sha256(data).digest() + data)
  return program


@functools.cache
def _sources() -> str:
  """A digest of the package's code: after any edit or move, nothing traced before is found."""
  package = Path(__file__).resolve().parents[1]
  digest = hashlib.sha256()
  for path in sorted(package.rglob("*.py")):
    digest.update(path.relative_to(package).as_posix().encode())
    digest.update(path.read_bytes())
  return digest.hexdigest()


def _origin() -> str:
  """Everything but step and shapes that a traced program depends on."""
  settings = [getattr(jax.config, flag, None) for flag in FLAGS]
  return f"{_sources()} {jax.__version__} {flax.__version__} {jax.default_backend()} {settings}"
