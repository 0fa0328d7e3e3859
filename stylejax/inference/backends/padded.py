"""Pads contents of any size to arrays of one size, so that one program serves all of them."""

import functools
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from stylejax import transfer
from stylejax.images.decode import as_float
from stylejax.inference.backends.base import Band, ignore_progress, place_in_bucket
from stylejax.models.padding import Edges, image_size
from stylejax.runtime.jit import fast_jit
from stylejax.runtime.program_cache import compiled_step, known_shapes


class Padded:
  """Contents in one array, one for each device.

  With fewer contents than devices the last is stylized several times, since another number of
  contents would need another program.

  Args:
    params: needs content_encoder and generator.
    contents: [H, W, 3] each, float32 in [0, 1] or uint8, no larger than the bucket.
    bucket: (H, W) to which each is padded, multiples of the config's stride.
    devices: number of devices, at least that of the contents.
  """

  def __init__(
    self,
    params: transfer.Params,
    contents: Sequence[np.ndarray],
    bucket: tuple[int, int],
    *,
    devices: int = 1,
  ):
    self.contents = list(contents)
    stride = params.config.stride
    if not 1 <= len(self.contents) <= devices:
      raise ValueError(
        f"contents: found {len(self.contents)}, expected 1 to {devices}, one for each device"
      )
    if any(side % stride for side in bucket):
      raise ValueError(f"bucket: found {bucket}, expected multiples of {stride}")
    for content in self.contents:
      if any(side > whole for side, whole in zip(content.shape[:2], bucket)):
        raise ValueError(
          f"bucket: found {bucket} for a content of {content.shape[:2]}, expected none larger"
        )
    places = np.minimum(np.arange(devices), len(contents) - 1)
    placed = np.stack([place_in_bucket(content, bucket, stride) for content in contents])[places]
    ends = np.array([content.shape[:2] for content in contents], np.int32)[places]
    if devices > 1:
      mesh = jax.sharding.Mesh(jax.local_devices()[:devices], ("images",))
      placed, ends = jax.device_put((placed, ends), NamedSharding(mesh, P("images")))
      params = jax.device_put(params, NamedSharding(mesh, P()))
      self._step = functools.partial(_stylize_on(mesh), params, placed, ends)
    else:
      code = compiled_step(encode_padded)(params, placed, ends)
      self._step = functools.partial(compiled_step(generate_padded), params, code)

  def stylize(
    self, vector: np.ndarray, noise_gain: float, *, on_progress=ignore_progress
  ) -> Iterator[Band]:
    """As in `Backend.stylize`, with a band for each content."""
    stylized = np.asarray(self._step(vector, np.float32(noise_gain)))
    for index, content in enumerate(self.contents):
      height, width = content.shape[:2]
      yield Band(index, 0, stylized[index, :height, :width])


def known_buckets(
  step: Callable, params: transfer.Params, *, count: int, stride: int
) -> set[tuple[int, int]]:
  """(H, W) of arrays, in multiples of the stride, for which a step has been compiled.

  Args:
    step: a function of (params, images [count, H, W, 3], ends).
    params: the parameters, whose shapes a program depends on.
    count: number of images in an array.
    stride: H and W are multiples of it.
  """
  sizes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(params))
  images = {
    shapes[len(sizes)]
    for shapes in known_shapes(step)
    if len(shapes) == len(sizes) + 2 and shapes[: len(sizes)] == sizes
  }
  return {
    shape[1:3]
    for shape in images
    if len(shape) == 4
    and shape[0] == count
    and all(side > 0 and side % stride == 0 for side in shape[1:3])
  }


def encode_styles_padded(
  params: transfer.Params, styles: jax.Array, ends: jax.Array
) -> transfer.StyleCode:
  """Encodes padded styles [B, H, W, 3] that all end at `ends` [2]; returns batched codes."""
  stride = params.config.style_stride
  ends = (ends + stride - 1) // stride * stride
  edges = Edges(image_size(styles), inside=(ends[0], ends[1]))
  return transfer.encode_style(params, styles, edges=edges)


def encode_padded(
  params: transfer.Params, contents: jax.Array, ends: jax.Array
) -> tuple[transfer.ContentCode, ...]:
  """Encodes padded contents [B, H, W, 3] that end at `ends` [B, 2]; returns a code for each."""
  stride = params.config.stride

  def encode(content, end):
    # The networks see the image up to whole cells.
    end = (end + stride - 1) // stride * stride
    edges = Edges(content.shape[:2], inside=(end[0], end[1]))
    return transfer.encode_content(params, as_float(content)[None], edges=edges)

  # Without vmap: since each image ends at a different place, it would use scatter operations.
  return tuple(encode(contents[i], ends[i]) for i in range(len(contents)))


def generate_padded(
  params: transfer.Params,
  codes: Sequence[transfer.ContentCode],
  vector: jax.Array,
  noise_gain: jax.Array,
) -> jax.Array:
  """Stylizes B contents from codes: [B, H, W, 3] float32, correct up to where each one ends."""
  return jnp.concatenate(
    [transfer.generate_unblended(params, code, vector[None], noise_gain) for code in codes]
  )


@functools.cache
def _stylize_on(mesh: jax.sharding.Mesh):
  def stylize(params, contents, ends, vector, noise_gain):
    return generate_padded(params, encode_padded(params, contents, ends), vector, noise_gain)

  specs = (P(), P("images"), P("images"), P(), P())
  return fast_jit(jax.shard_map(stylize, mesh=mesh, in_specs=specs, out_specs=P("images")))
