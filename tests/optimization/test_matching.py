"""Nearest neighbors against NumPy, block by block and on several devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylejax.errors import InputError
from stylejax.optimization.matching import (
  best_similarities,
  centers,
  nearest,
  source_means,
  style_preference,
  unit,
)


@pytest.fixture
def vectors(rng):
  """(query [50, 12], bank [37, 12]), of length 1, and sources [37] of 3 styles."""
  query, bank = (rng.normal(size=(count, 12)) for count in (50, 37))
  query, bank = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, bank))
  return (
    jnp.asarray(query, jnp.float32),
    jnp.asarray(bank, jnp.float32),
    jnp.asarray(rng.integers(0, 3, 37)),
  )


@pytest.mark.parametrize("block", [None, 1, 7, 50, 64])
def test_it_is_the_largest_product(vectors, block):
  query, bank, _ = vectors
  expected = np.argmax(np.asarray(query, np.float64) @ np.asarray(bank, np.float64).T, 1)
  for run in (nearest, jax.jit(nearest, static_argnames="block")):
    np.testing.assert_array_equal(run(query, bank, block=block), expected)


@pytest.mark.parametrize("count", [16, 96, 320, 1024])
def test_it_is_the_largest_product_of_banks_that_are_searched_in_lines(rng, count):
  query, bank = (jnp.asarray(rng.normal(size=(n, 12)), jnp.float32) for n in (50, count))
  actual = nearest(query, bank)
  assert actual.dtype == jnp.int32
  scores = np.asarray(query, np.float64) @ np.asarray(bank, np.float64).T
  np.testing.assert_array_equal(actual, np.argmax(scores, 1))


def test_of_equal_vectors_one_is_found(rng):
  """A plain style has many equal vectors: whichever is found equals the query."""
  bank = unit(jnp.asarray(np.repeat(rng.normal(size=(8, 12)), 16, 0)))
  actual = nearest(bank[::16], bank)
  np.testing.assert_array_equal(np.asarray(actual) // 16, np.arange(8))


def test_a_preference_is_added_for_each_style(vectors, rng):
  query, bank, source = vectors
  preference = rng.normal(size=(50, 3)).astype(np.float32)
  scores = np.asarray(query) @ np.asarray(bank).T + preference[:, np.asarray(source)]
  actual = nearest(query, bank, preference=jnp.asarray(preference), source=source, block=8)
  np.testing.assert_array_equal(actual, scores.argmax(1))


@pytest.mark.parametrize("block", [None, 1, 7, 50, 64])
def test_the_best_similarity_of_a_vector_is_over_all_queries(vectors, rng, block):
  query, bank, source = vectors
  # All similarities are below 0, that of the padding of a block.
  query, bank = -abs(query), abs(bank)
  preference = -rng.random((50, 3)).astype(np.float32)
  scores = np.asarray(query) @ np.asarray(bank).T + preference[:, np.asarray(source)]
  settings = {"preference": jnp.asarray(preference), "source": source, "block": block}
  best = jax.jit(lambda *x: best_similarities(*x, **settings))(query, bank)
  np.testing.assert_allclose(best, scores.max(0), atol=1e-6)
  actual = nearest(query, bank, penalty=0.5 * best, **settings)
  np.testing.assert_array_equal(actual, (scores - 0.5 * scores.max(0)).argmax(1))


def test_a_hub_leaves_room_for_what_is_rare():
  """A vector in the middle is the nearest of every query, unless hubs are penalized."""
  angles = np.array([0.0, 0.9, -0.9])
  bank = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], 1), jnp.float32)
  turned = np.array([-0.43, -0.2, 0.0, 0.2, 0.43])
  query = jnp.asarray(np.stack([np.cos(turned), np.sin(turned)], 1), jnp.float32)
  assert set(np.asarray(nearest(query, bank))) == {0}
  penalty = 0.5 * best_similarities(query, bank)
  assert set(np.asarray(nearest(query, bank, penalty=penalty))) == {0, 1, 2}


def test_vmap_is_a_loop(vectors):
  query, bank, _ = vectors
  queries = jnp.stack([query, -query])
  actual = jax.vmap(lambda q: nearest(q, bank, block=16))(queries)
  for number in range(2):
    np.testing.assert_array_equal(actual[number], nearest(queries[number], bank))


def test_places_are_divided_over_devices(vectors):
  """Results are equal, and each of 8 devices multiplies an eighth of a block's queries."""
  query, bank, source = vectors
  mesh = jax.make_mesh((8,), ("places",), axis_types=(jax.sharding.AxisType.Auto,))
  preference = jnp.zeros((50, 3)).at[:, 1].set(0.3)
  expected = nearest(query, bank, preference=preference, source=source)

  def run(query, bank, preference, source):
    return nearest(query, bank, preference=preference, source=source, block=24, mesh=mesh)

  compiled = jax.jit(run).lower(query, bank, preference, source).compile()
  np.testing.assert_array_equal(compiled(query, bank, preference, source), expected)
  products = re.findall(r"f32\[(\d+),37\]\S* dot\(", compiled.as_text())
  assert products and set(products) == {"3"}


def test_accelerators_multiply_bfloat16(vectors):
  """Lowered for a GPU, the product is in bfloat16 with float32 sums; for a CPU, in float32."""
  query, bank, _ = vectors
  for platform, dtype in (("cuda", "bf16"), ("tpu", "bf16"), ("cpu", "f32")):
    text = jax.jit(nearest).trace(query, bank).lower(lowering_platforms=(platform,)).as_text()
    product = re.findall(r"dot_general.*tensor<\d+x12x(\w+)>.*-> tensor<\d+x37x(\w+)>", text)
    assert set(product) == {(dtype, "f32")}, platform


def test_weight_0_excludes_a_style_and_the_heaviest_has_no_handicap():
  weights = jnp.asarray([0.5, 0.25, 0.0, 0.25])
  preference = style_preference(weights, (2, 3))
  assert preference.shape == (6, 4)
  np.testing.assert_allclose(preference[:, 0], 0.0, atol=1e-6)
  np.testing.assert_allclose(preference[:, 1], 0.1 * np.log(0.5), rtol=1e-5)
  assert (preference[:, 2] < -100).all()
  halves = jnp.zeros((2, 4, 4)).at[0, :, :2].set(1).at[1, :, 2:].set(1)
  preference = style_preference(halves, (2, 2)).reshape(2, 2, 2)
  assert (preference[:, 0, 1] < preference[:, 0, 0]).all()
  assert (preference[:, 1, 0] < preference[:, 1, 1]).all()


def test_centers_are_means_of_regions(rng):
  x = rng.normal(size=(2, 6, 3)).astype(np.float32)
  np.testing.assert_allclose(centers(jnp.asarray(x))[:, 0], x.mean(1), atol=1e-6)
  regions = jnp.asarray([[1, 1, 0, 0, 0, 0.5], [0, 0, 1, 1, 1, 0.5]])
  actual = centers(jnp.asarray(x), weights=regions)
  first = (x[:, 0] + x[:, 1] + 0.5 * x[:, 5]) / 2.5
  second = (x[:, 2] + x[:, 3] + x[:, 4] + 0.5 * x[:, 5]) / 3.5
  np.testing.assert_allclose(actual[:, 1], first, atol=1e-6)
  np.testing.assert_allclose(actual[:, 5], 0.5 * (first + second), atol=1e-6)
  bank, source = jnp.asarray(x[0]), jnp.asarray([0, 1, 0, 1, 1, 1])
  expected = np.stack([x[0][np.asarray(source) == s].mean(0) for s in np.asarray(source)])
  np.testing.assert_allclose(source_means(bank, source, 2), expected, atol=1e-6)
  np.testing.assert_allclose(jnp.linalg.norm(unit(bank), axis=-1), 1.0, atol=1e-5)


def test_wrong_shapes_are_one_line(vectors):
  query, bank, source = vectors
  for arguments, message in (
    ((query, bank[:, :5]), "bank: found shape"),
    ((query[0], bank), "bank: found shape"),
  ):
    with pytest.raises(InputError, match=message):
      nearest(*arguments)
  with pytest.raises(InputError, match="preference: found shape"):
    nearest(query, bank, preference=jnp.zeros((4, 3)), source=source)
  with pytest.raises(InputError, match="preference: found shape"):
    nearest(query, bank, preference=jnp.zeros((50, 3)))
