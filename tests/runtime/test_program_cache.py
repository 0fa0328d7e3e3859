"""Compiled steps on disk are found again, never stale and never in the way."""

import functools
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest

from stylejax import motion, temporal, transfer
from stylejax.models import padding
from stylejax.runtime import program_cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Where programs go, empty."""
  monkeypatch.setattr(program_cache, "_folder", lambda: tmp_path / "programs")
  program_cache.compiled_step.cache_clear()  # as in another process
  return tmp_path / "programs"


TRACED = []


@pytest.fixture
def traced():
  """Names of the traced steps, once for each trace."""
  TRACED.clear()
  return TRACED


def programs(folder):
  """The programs in a folder; it also has lists of shapes, and small files that name a program."""
  return [*folder.glob("*.program")]


def fresh(step):
  """The step as another process would see it."""

  @functools.wraps(step)
  def noting(*arguments, **controls):
    TRACED.append(step.__name__)
    return step(*arguments, **controls)

  return program_cache.compiled_step.__wrapped__(noting)


def codes(params, image):
  content = fresh(transfer.encode_content)(params, image)
  style = fresh(transfer.encode_style)(params, image)
  return content, style, fresh(transfer.generate)(params, content, style, strength=np.float32(0.5))


def test_a_second_process_traces_nothing_and_gives_the_same(folder, traced, tiny_params, rng):
  image = rng.random((33, 30, 3), np.float32)
  first = codes(tiny_params, image)
  assert traced == ["encode_content", "encode_style", "generate"]
  second = codes(tiny_params, image)
  assert len(traced) == 3 == len(programs(folder))
  chex.assert_trees_all_equal(first, second)
  content = jax.eval_shape(transfer.encode_content, tiny_params, image)
  chex.assert_trees_all_equal_structs(content, second[0])
  assert second[0].size == (33, 30)
  chex.assert_trees_all_close(
    second[2], jax.jit(transfer.stylize)(tiny_params, image, image, strength=0.5), atol=1e-5
  )


def test_other_shapes_settings_and_code_are_traced_anew(
  folder, traced, tiny_params, rng, monkeypatch
):
  image = rng.random((32, 32, 3), np.float32)
  fresh(transfer.encode_style)(tiny_params, image)
  fresh(transfer.encode_style)(tiny_params, image[:24])
  assert len(traced) == 2
  with jax.default_matmul_precision("float32"):
    fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 3
  monkeypatch.setattr(program_cache, "_sources", lambda: "edited")
  fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 4


def test_a_damaged_file_is_replaced(folder, traced, tiny_params, rng):
  image = rng.random((32, 32, 3), np.float32)
  fresh(transfer.encode_style)(tiny_params, image)
  (path,) = programs(folder)
  (key,) = folder.glob("*.key")
  for file in (path, key):
    for damage in (b"", file.read_bytes()[:-9], b"x" * 5000):
      file.write_bytes(damage)
      fresh(transfer.encode_style)(tiny_params, image)
      fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 7
  assert programs(folder) == [path]


def test_after_an_edit_that_leaves_a_program_as_it_was_it_is_not_compiled_again(
  folder, traced, tiny_params, rng, monkeypatch
):
  image = rng.random((32, 32, 3), np.float32)
  first = fresh(transfer.encode_style)(tiny_params, image)
  (path,) = programs(folder)
  before = path.stat().st_mtime_ns
  monkeypatch.setattr(program_cache, "_sources", lambda: "edited")
  second = fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 2
  assert programs(folder) == [path] and path.stat().st_mtime_ns == before
  chex.assert_trees_all_equal(first, second)


PROCESS = """
import sys
import jax, numpy as np
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
from stylejax.controls import color, strength
from stylejax.runtime.jit import compiler_options
from stylejax.runtime.program_cache import compiled_step
images = np.random.default_rng(0).random((2, 1, 32, 32, 3), np.float32)
moments = [(np.zeros((1, 1, 1, 3), np.float32), np.eye(3, dtype=np.float32)[None])] * 2
step, arguments = {
  "blend": (strength.blend_with_content, (*images, np.float32(0.5))),
  "match": (color.match_color_moments, (images[0], *moments)),
}[sys.argv[2]]
plain = jax.jit(step, compiler_options=compiler_options())
call = compiled_step(step) if sys.argv[3] == "ours" else plain
print(np.asarray(call(*arguments)).sum())
"""


@pytest.mark.parametrize("step", ["blend", "match"])
def test_programs_run_in_other_processes(tmp_path, step):
  """Also programs that JAX could load from its own cache, and those that call LAPACK.

  A program that jax 0.10.2 or 0.12.0.1 takes from JAX's cache on a CPU is serialized without its
  functions, and its reader gets "Function ... not found" at the first call; the first process here
  fills that cache, and the second must not use it. And JAX prepares LAPACK's functions when it
  lowers a step that needs them (a Cholesky factor here), which the third process does not do.
  """
  sums = []
  for which in ("plain", "ours", "ours"):
    done = subprocess.run(
      [sys.executable, "-c", PROCESS, tmp_path, step, which],
      check=False,
      capture_output=True,
      text=True,
    )
    assert done.returncode == 0, done.stderr
    sums.append(done.stdout)
  assert len(set(sums)) == 1 and float(sums[0]) > 0
  assert len([*tmp_path.glob("programs/*.program")]) == 1


def test_a_folder_that_cannot_be_written_costs_only_time(folder, traced, tiny_params, rng):
  image = rng.random((32, 32, 3), np.float32)
  folder.write_text("a file where the folder should be")
  fresh(transfer.encode_style)(tiny_params, image)
  fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 2


def test_edges_come_back_from_disk(folder, traced, tiny_params, rng):
  image = rng.random((32, 40, 3), np.float32)
  edges = padding.seamless_edges("x", image.shape)
  first, second = (
    fresh(transfer.encode_content)(tiny_params, image, edges=edges) for _ in range(2)
  )
  assert traced == ["encode_content"]
  chex.assert_trees_all_equal(first, second)
  assert second.edges == edges


def test_shapes_that_were_traced_are_known_and_a_damaged_list_costs_only_time(
  folder, traced, tiny_params, rng
):
  count = len(jax.tree.leaves(tiny_params))
  for sides in ((32, 32, 3), (32, 40, 3)):
    fresh(transfer.encode_style)(tiny_params, rng.random(sides, np.float32))
  known = program_cache.known_shapes(transfer.encode_style)
  assert {shapes[count:] for shapes in known} == {((32, 32, 3),), ((32, 40, 3),)}
  assert program_cache.known_shapes(transfer.encode_content) == set()
  (path,) = folder.glob("*.shapes")
  second = path.read_bytes().splitlines(keepends=True)[1]
  damaged = (
    b"5",
    b"[1,2]",
    b"null",
    b"[[[1]]]",
    b'[{"a":1},[[1]]]',
    b"[" * 100_000,
    b"\xff",
    b"[[1, 2",
  )
  path.write_bytes(b"\n".join(damaged) + b"\n" + second)
  known = program_cache.known_shapes(transfer.encode_style)
  assert {shapes[count:] for shapes in known} == {((32, 40, 3),)}


def test_shapes_are_known_without_a_folder_and_of_this_code_only(
  folder, tiny_params, rng, monkeypatch
):
  image = rng.random((32, 48, 3), np.float32)
  fresh(transfer.encode_style)(tiny_params, image)
  assert program_cache.known_shapes(transfer.encode_style)
  monkeypatch.setattr(program_cache, "_sources", lambda: "edited")
  program_cache.compiled_step.cache_clear()
  assert program_cache.known_shapes(transfer.encode_style) == set()
  monkeypatch.setattr(program_cache, "_folder", lambda: None)
  step = program_cache.compiled_step(transfer.encode_style)
  with pytest.raises(ValueError, match="style: found"):
    step(tiny_params, image[:3])
  assert program_cache.known_shapes(transfer.encode_style) == set()
  step(tiny_params, image)
  (shapes,) = program_cache.known_shapes(transfer.encode_style)
  assert shapes[-1] == (32, 48, 3)


def test_quick_programs_serve_until_the_others_are_there(folder, traced, tiny_params, rng):
  image = rng.random((32, 32, 3), np.float32)
  with program_cache.quick_first() as pending:
    quick = fresh(transfer.encode_style)(tiny_params, image)
    again = fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 1 and len(pending) == 2
  assert len(programs(folder)) == len([*folder.glob("*.quick")]) == 1
  chex.assert_trees_all_equal(quick, again)
  program_cache.compile_pending()
  assert not [*folder.glob("*.quick"), *folder.glob("*.pending")]
  assert len(programs(folder)) == 1
  with program_cache.quick_first() as pending:
    last = fresh(transfer.encode_style)(tiny_params, image)
  assert not pending and len(traced) == 1
  chex.assert_trees_all_close(quick, last, atol=1e-4)
  known = program_cache.known_shapes(transfer.encode_style)
  assert [shapes[-1] for shapes in known] == [(32, 32, 3)]


def test_what_takes_long_to_run_is_never_compiled_quickly(
  folder, traced, tiny_params, rng, monkeypatch
):
  image = rng.random((32, 32, 3), np.float32)
  monkeypatch.setattr(program_cache, "_QUICK_ELEMENTS", 1000)
  with program_cache.quick_first() as pending:
    fresh(transfer.encode_style)(tiny_params, image)
  assert not pending and len([*folder.glob("*.key")]) == 1


def test_damaged_and_missing_notes_of_what_is_pending_cost_only_time(folder, tiny_params, rng):
  program_cache.compile_pending()  # no folder yet
  image = rng.random((32, 32, 3), np.float32)
  for damage in (lambda path: path.write_bytes(b"x" * 100), lambda path: path.unlink()):
    with program_cache.quick_first():
      fresh(transfer.encode_style)(tiny_params, image)
    (note,) = folder.glob("*.pending")
    damage(note)
    program_cache.compile_pending()
    fresh(transfer.encode_style)(tiny_params, image)
    for path in folder.glob("*.key"):
      path.unlink()


def test_a_step_is_compiled_with_the_options_that_it_asks_for(folder, tiny_params, rng):
  step = program_cache.compiled_step(
    transfer.encode_style, options=lambda: {"xla_no_such_option": "1"}
  )
  with pytest.raises(jax.errors.JaxRuntimeError, match="xla_no_such_option"):
    step(tiny_params, rng.random((33, 30, 3), np.float32))


def test_a_second_process_of_a_film_traces_nothing(folder, traced, tiny_params, rng):
  frame = rng.random((33, 30, 3), np.float32)
  state = temporal.first_state(tiny_params, 33, 30)
  code = transfer.encode_style(tiny_params, frame)

  def film():
    flow = fresh(motion.optical_flow)(frame, frame)
    return fresh(temporal.next_frame)(tiny_params, frame, code, state, flow=flow)

  first = film()
  assert traced == ["optical_flow", "next_frame"]
  chex.assert_trees_all_equal(film(), first)
  assert traced == ["optical_flow", "next_frame"] and len(programs(folder)) == 2
