"""Public functions on a mesh with explicit axes, where JAX must be told the sharding of results.

The nets leave shardings to the compiler; no net is defined here.
"""

import functools
from collections.abc import Callable

import jax
from jax.sharding import PartitionSpec as P


def on_any_mesh(function: Callable) -> Callable:
  """Lets a function of arrays run under a mesh with explicit axes, `jax.make_mesh`'s default.

  Inside the function such axes are automatic, so the compiler chooses how to divide the work.
  Results whose first axis is as long as the batch keep the batch's sharding, others are replicated.
  Without such axes the function is called as it is.
  """

  @functools.wraps(function)
  def call(*arguments, **keywords):
    leaves, tree = jax.tree.flatten((arguments, keywords))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
    arrays = [leaves[i] for i in places]
    mesh = _explicit_mesh(arrays)
    if mesh is None:
      return function(*arguments, **keywords)

    def run(arrays):
      filled = list(leaves)
      for place, array in zip(places, arrays, strict=True):
        filled[place] = array
      inner_arguments, inner_keywords = jax.tree.unflatten(tree, filled)
      return function(*inner_arguments, **inner_keywords)

    with jax.sharding.use_abstract_mesh(mesh):
      shapes = jax.eval_shape(jax.sharding.auto_axes(run, out_sharding=P()), arrays)
      batch, axes = _batch(arrays)
      shardings = jax.tree.map(
        lambda leaf: P(axes) if leaf.ndim and leaf.shape[0] == batch else P(), shapes
      )
      return jax.sharding.auto_axes(run, out_sharding=shardings)(arrays)

  return call


def _explicit_mesh(arrays: list[jax.Array]) -> jax.sharding.AbstractMesh | None:
  """The mesh of the context or of an argument, if one has explicit axes."""
  meshes = [jax.sharding.get_abstract_mesh(), *(jax.typeof(x).sharding.mesh for x in arrays)]
  return next((mesh for mesh in meshes if mesh.explicit_axes), None)


def _batch(arrays: list[jax.Array]) -> tuple[int | None, object]:
  """(length, mesh axes) of the one leading dimension that is sharded; (None, None) if not one."""
  sharded = {
    (x.shape[0], jax.typeof(x).sharding.spec[0])
    for x in arrays
    if x.ndim and jax.typeof(x).sharding.spec[0] is not None
  }
  return sharded.pop() if len(sharded) == 1 else (None, None)
