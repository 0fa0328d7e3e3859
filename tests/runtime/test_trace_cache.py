"""Traced steps on disk: found again, never stale, never in the way."""

import chex
import jax
import numpy as np
import pytest

from stylejax import transfer
from stylejax.inference.serialization import compiled_step  # tells JAX how the trees are written
from stylejax.runtime import trace_cache

assert compiled_step is trace_cache.compiled_step


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Where traces go, empty; what is compiled of them is the session's."""
  monkeypatch.setattr(trace_cache, "_folder", lambda: tmp_path / "traces")
  trace_cache.compiled_step.cache_clear()  # as in another process
  return tmp_path / "traces"


@pytest.fixture
def traced(monkeypatch):
  """Names of the steps that were traced, one for each time."""
  names = []
  export = jax.export.export

  def counting(function, **options):
    names.append(function.__name__)
    return export(function, **options)

  monkeypatch.setattr(jax.export, "export", counting)
  return names


def programs(folder):
  """The files in it but for the lists of shapes."""
  return [path for path in folder.iterdir() if not path.suffix]


def fresh(step):
  """As another process would see it."""
  return trace_cache.compiled_step.__wrapped__(step)


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
  monkeypatch.setattr(trace_cache, "_sources", lambda: "edited")
  fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 4


def test_a_damaged_file_is_replaced(folder, traced, tiny_params, rng):
  image = rng.random((32, 32, 3), np.float32)
  fresh(transfer.encode_style)(tiny_params, image)
  (path,) = programs(folder)
  for damage in (b"", path.read_bytes()[:-9], b"x" * 5000):
    path.write_bytes(damage)
    fresh(transfer.encode_style)(tiny_params, image)
    fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 4
  assert programs(folder) == [path]


def test_a_folder_that_cannot_be_written_costs_only_time(folder, traced, tiny_params, rng):
  image = rng.random((32, 32, 3), np.float32)
  folder.write_text("a file where the folder should be")
  fresh(transfer.encode_style)(tiny_params, image)
  fresh(transfer.encode_style)(tiny_params, image)
  assert len(traced) == 2


def test_edges_come_back_from_disk(folder, traced, tiny_params, rng):
  image = rng.random((32, 40, 3), np.float32)
  edges = transfer.seamless_edges("x", image.shape)
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
  known = trace_cache.known_shapes(transfer.encode_style)
  assert {shapes[count:] for shapes in known} == {((32, 32, 3),), ((32, 40, 3),)}
  assert trace_cache.known_shapes(transfer.encode_content) == set()
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
  known = trace_cache.known_shapes(transfer.encode_style)
  assert {shapes[count:] for shapes in known} == {((32, 40, 3),)}


def test_shapes_are_known_without_a_folder_and_of_this_code_only(
  folder, tiny_params, rng, monkeypatch
):
  image = rng.random((32, 48, 3), np.float32)
  fresh(transfer.encode_style)(tiny_params, image)
  assert trace_cache.known_shapes(transfer.encode_style)
  monkeypatch.setattr(trace_cache, "_sources", lambda: "edited")
  trace_cache.compiled_step.cache_clear()
  assert trace_cache.known_shapes(transfer.encode_style) == set()
  monkeypatch.setattr(trace_cache, "_folder", lambda: None)
  step = trace_cache.compiled_step(transfer.encode_style)
  with pytest.raises(ValueError, match="style: found"):
    step(tiny_params, image[:3])
  assert trace_cache.known_shapes(transfer.encode_style) == set()
  step(tiny_params, image)
  (shapes,) = trace_cache.known_shapes(transfer.encode_style)
  assert shapes[-1] == (32, 48, 3)
