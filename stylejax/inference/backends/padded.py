"""Several contents of any sizes in arrays of one size: one program for all of them."""

import functools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from stylejax import transfer
from stylejax.images.decode import as_float
from stylejax.inference.backends.base import Band, ignore_progress, place_in_frame
from stylejax.models.padding import Edges
from stylejax.runtime.jit import fast_jit


class Padded:
  """Contents in one array, shared among devices.

  With fewer contents than devices the last is stylized several times, since another number would
  be another program.

  Args:
    params: needs content_encoder and generator.
    contents: [H, W, 3] each, float32 in [0, 1] or uint8, no larger than the frame.
    frame: (H, W) of the array for each, multiples of the config's stride.
    devices: how many take part; each gets as many contents.
  """

  def __init__(
    self,
    params: transfer.Params,
    contents: Sequence[np.ndarray],
    frame: tuple[int, int],
    *,
    devices: int = 1,
  ):
    self.contents = list(contents)
    stride = params.config.stride
    places = np.minimum(np.arange(devices), len(contents) - 1)
    framed = np.stack([place_in_frame(content, frame, stride) for content in contents])[places]
    ends = np.array([content.shape[:2] for content in contents], np.int32)[places]
    self._step = _stylize_on(None)
    if devices > 1:
      mesh = jax.sharding.Mesh(jax.local_devices()[:devices], ("images",))
      framed, ends = jax.device_put((framed, ends), NamedSharding(mesh, P("images")))
      params = jax.device_put(params, NamedSharding(mesh, P()))
      self._step = _stylize_on(mesh)
    self._params, self._framed, self._ends = params, framed, ends

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress=ignore_progress
  ) -> Iterator[Band]:
    """As `Backend.stylize`, a band for each content."""
    stylized = np.asarray(
      self._step(self._params, self._framed, self._ends, vector, np.float32(noise_gain))
    )
    for index, content in enumerate(self.contents):
      height, width = content.shape[:2]
      yield Band(index, 0, stylized[index, :height, :width])


def stylize_padded(
  params: transfer.Params,
  contents: jax.Array,
  ends: jax.Array,
  vector: jax.Array,
  noise_gain: jax.Array,
) -> jax.Array:
  """Contents [B, H, W, 3] that end at `ends` [B, 2] → stylized, float32, right up to there."""
  stride = params.config.stride

  def stylize(content, end):
    # The networks see the image up to whole cells.
    end = (end + stride - 1) // stride * stride
    edges = Edges(content.shape[:2], inside=(end[0], end[1]))
    code = transfer.encode_content(params, as_float(content)[None], edges=edges)
    return transfer.generate_unblended(params, code, vector[None], noise_gain)[0]

  # No vmap: with a place of its own for each image's end it would scatter.
  return jnp.stack([stylize(contents[i], ends[i]) for i in range(len(contents))])


@functools.cache
def _stylize_on(mesh: jax.sharding.Mesh | None):
  if mesh is None:
    return fast_jit(stylize_padded)
  specs = (P(), P("images"), P("images"), P(), P())
  return fast_jit(jax.shard_map(stylize_padded, mesh=mesh, in_specs=specs, out_specs=P("images")))
