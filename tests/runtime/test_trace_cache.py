"""Traced steps on disk: found again, never stale, never in the way."""

import chex
import jax
import numpy as np
import pytest

from stylejax import transfer
from stylejax.runtime import trace_cache


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Where traces go, empty; what is compiled of them is the session's."""
  monkeypatch.setattr(trace_cache, "_folder", lambda: tmp_path / "traces")
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
  path.write_bytes(b"[[1, 2")
  assert trace_cache.known_shapes(transfer.encode_style) == set()
