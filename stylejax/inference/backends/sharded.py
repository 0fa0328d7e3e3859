"""One content whose rows are divided equally among all of this machine's devices."""

import functools
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from stylejax import transfer
from stylejax.images.decode import as_float
from stylejax.inference.backends.base import Band, ignore_progress, place_in_bucket
from stylejax.models.padding import Edges
from stylejax.runtime.jit import fast_jit


class Sharded:
  """Rows on a mesh; the devices exchange neighboring rows and moments.

  Args:
    params: needs content_encoder and generator.
    content: [H, W, 3] float32 in [0, 1] or uint8.
  """

  def __init__(self, params: transfer.Params, content: np.ndarray):
    self.contents = [content]
    stride, devices = params.config.stride, jax.local_devices()
    # To mirror its first row of cells a device needs the second one, too.
    least = max(transfer.MIN_SIDE, 2 * stride)
    part = max(least, -(-content.shape[0] // (stride * len(devices))) * stride)
    inside = [-(-side // stride) * stride for side in content.shape[:2]]
    self._mesh = jax.sharding.Mesh(devices, ("rows",))
    self._params = jax.device_put(params, NamedSharding(self._mesh, P()))
    self._placed = jax.device_put(
      place_in_bucket(content, (part * len(devices), inside[1]), stride),
      NamedSharding(self._mesh, P("rows")),
    )
    self._inside = np.asarray(inside, np.int32)

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress=ignore_progress
  ) -> Iterator[Band]:
    """As in `Backend.stylize`, in one band."""
    height, width = self.contents[0].shape[:2]
    stylized = _stylize_on(self._mesh)(
      self._params, self._placed, self._inside, vector, np.float32(noise_gain)
    )
    yield Band(0, 0, np.asarray(stylized)[:height, :width])


@functools.cache
def _stylize_on(mesh: jax.sharding.Mesh):
  def stylize(params, content, inside, vector, noise_gain):
    edges = Edges(content.shape[:2], inside=(inside[0], inside[1]), axis_name="rows")
    code = transfer.encode_content(params, as_float(content)[None], edges=edges)
    return transfer.generate_unblended(params, code, vector[None], noise_gain)[0]

  specs = (P(), P("rows"), P(), P(), P())
  return fast_jit(jax.shard_map(stylize, mesh=mesh, in_specs=specs, out_specs=P("rows")))
