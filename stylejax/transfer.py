"""The four steps of style transfer as pure functions of (params, images).

    content_code = encode_content(params, content)
    style_code   = encode_style(params, style)
    stylized     = generate(params, content_code, style_code, strength=1.0, weights=None)
    score        = discriminate(params, stylized)

Images are RGB, float32 in [0, 1], [H, W, 3] or [B, H, W, 3] with any H, W ≥ 16. `params` carries
its config as static data, so it is all that `jit`, `vmap`, `grad` or `shard_map` need to pass on.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from stylejax import models
from stylejax.controls.apply import apply_controls
from stylejax.controls.mixing import uniform_stylizations
from stylejax.controls.ranges import per_pixel
from stylejax.controls.strength import MAX_STRENGTH, blend_with_content, split
from stylejax.controls.table import PixelControls, takes_pixel_controls
from stylejax.controls.zoom import zoom
from stylejax.models.codes import ContentCode, StyleCode
from stylejax.models.meshes import on_any_mesh
from stylejax.models.noise_map import drawn_corner
from stylejax.models.padding import Edges, check_edges, seamless_edges
from stylejax.models.params import MIN_SIDE, Params, part_of
from stylejax.models.params import PARTS as PARTS


@on_any_mesh
def encode_style(
  params: Params,
  image: jax.Array,
  *,
  stroke: jax.Array | float | None = None,
  edges: Edges | None = None,
) -> StyleCode:
  """Step 1: encodes the style of an image.

  Args:
    params: needs style_encoder.
    image: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.
    stroke: the size of strokes, 1/4 to 4 times that in the image: scalar or [B], traced. The image
      is read through a window of its own size, so above 1 only its middle is seen; it is better to
      pass a larger image and a smaller stroke. None, the default, is 1 at no cost.
    edges: as in `encode_content`; if given, H and W must be multiples of the config's style_stride,
      and stroke must be None.

  Returns:
    StyleCode with leaves batched as the image is.

  Raises:
    ValueError: a wrong shape, dtype or stroke, edges that don't fit, or params without that part.

  Source: Huang & Belongie 2017, arXiv:1703.06868, section 5; strokes by the scale of the style:
  Gatys et al. 2017, arXiv:1611.07865, section 6.
  """
  part = part_of(params, "style_encoder")
  image, single = _as_batch(image, "style")
  if edges is not None:
    check_edges(edges, image, "style", params.config.style_stride)
    if stroke is not None:
      raise ValueError("stroke: found it with edges, expected only one of them")
  with jax.named_scope("encode_style"):
    if stroke is not None:
      image = zoom(image, stroke)
    code = models.nets.applied(models.nets.StyleEncoder(params.config), part, image, edges=edges)
  return _first(code) if single else code


@on_any_mesh
def encode_content(params: Params, image: jax.Array, *, edges: Edges | None = None) -> ContentCode:
  """Step 2: encodes the content of an image.

  Args:
    params: needs content_encoder.
    image: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.
    edges: how the image continues beyond its edges, where it ends inside the array, and whether its
      rows are divided over several devices; if given, H and W must be multiples of the config's
      stride. None: the image is mirrored.

  Returns:
    ContentCode with leaves batched as the image is; it remembers (H, W) and the edges.

  Raises:
    ValueError: a wrong shape or dtype, edges that don't fit, or params without that part.
  """
  part = part_of(params, "content_encoder")
  image, single = _as_batch(image, "content")
  if edges is not None:
    check_edges(edges, image, "content", params.config.stride)
  with jax.named_scope("encode_content"):
    code = models.nets.applied(models.nets.ContentEncoder(params.config), part, image, edges=edges)
  return dataclasses.replace(code, **_first(_maps(code))) if single else code


@on_any_mesh
def reconstruct(params: Params, image: jax.Array) -> jax.Array:
  """Reconstructs an image by the autoencoder: decode(encode(image)), of its shape, in [0, 1].

  This is what the generator makes if it leaves all moments unchanged. Arguments and errors as in
  `encode_content`; params also needs the generator, whose body is the decoder.
  """
  decoder = part_of(params, "generator")["decoder"]
  code, single = _batched_content(encode_content(params, image))
  with jax.named_scope("reconstruct"):
    output = models.nets.applied(models.nets.Decoder(params.config), decoder, code)
  return output[0] if single else output


@on_any_mesh
def generate(
  params: Params,
  content_code: ContentCode,
  style_code: StyleCode,
  *,
  strength: jax.Array | float = 1.0,
  weights: jax.Array | None = None,
  noise_key: jax.Array | None = None,
) -> jax.Array:
  """Step 3: generates an image of the content in the style, or in a mixture of styles.

  Every control is traced: another value never recompiles, and each has a gradient.

  Args:
    params: needs generator.
    content_code: of one image, or of a batch B.
    style_code: of one image, or of a batch B. One content with B styles, or B contents with one
      style, give B images. With weights: of S styles, which are mixed.
    strength: 0 returns the content's image, 1 is as trained, and up to 2 goes beyond: scalar, [B]
      or a map [H, W]. Below 1, the stylized image is blended with the content, pixel by
      pixel, in linear light (`stylejax.controls.strength`). Above 1, colors stay and the style's
      noise grows, up to twice as much.
    weights: how much of each style: [S] for the whole image, or maps [S, H, W], which stylize by
      regions. At least 0, and divided by their sum over S; where that is 0, styles have equal
      weights (set the strength to 0 there to keep the content). None: nothing is mixed.
    noise_key: PRNG key that draws the part of the noise map which these images get, the same for a
      whole batch: another key gives other strokes. None: always the map's beginning.

  Returns:
    [B, H, W, 3], or [H, W, 3] when nothing has a batch; float32 in [0, 1], of the content's size.

  Raises:
    ValueError: batch sizes or maps that don't fit, a strength outside 0 to 2 or weights below 0
      (when not traced), or params without the generator.

  Source: modulation after Huang & Belongie 2017, arXiv:1703.06868; Ghiasi et al. 2017,
  arXiv:1705.06830. Regions depart from Gatys et al. 2017, arXiv:1611.07865, section 4: with maps
  the whole image is stylized several times, each time uniformly, and each pixel is taken from those
  that are nearest to its own values (`stylejax.controls.mixing.split_maps`). So a region is, to the
  last pixel, what its style alone would give, and there are no edges but the map's.
  """
  part_of(params, "generator")
  content_code, single_content = _batched_content(content_code)
  vector = jnp.asarray(style_code.vector)
  single_style = vector.ndim == 1 or weights is not None
  vector = vector[None] if vector.ndim == 1 else vector
  strength_per_image = jnp.ndim(strength) == 1
  blend, noise_gain = split(per_pixel(strength, "strength", MAX_STRENGTH, content_code.size))
  vectors, gains, shares = uniform_stylizations(vector, weights, noise_gain, content_code.size)
  batch = _common_batch(
    content=content_code.levels[0].shape[0], strength=gains.shape[1], style=vectors.shape[1]
  )
  image = content_code.image
  levels = tuple(_broadcast(level, batch) for level in content_code.levels)
  content_code = dataclasses.replace(content_code, levels=levels)

  corner = None if noise_key is None else drawn_corner(noise_key)[None]
  unblended = partial(generate_unblended, params, content_code, noise_corner=corner)
  with jax.named_scope("generate"):
    if shares is None:
      output = unblended(vectors[0], gains[0])
    else:
      # One after the other, so that the networks take only the memory of one stylization.
      stylized = jax.lax.map(lambda values: unblended(*values), (vectors, gains))
      output = (shares[:, None, :, :, None] * stylized).sum(0)
    output = blend_with_content(output, image, blend)
  single = single_content and single_style and not strength_per_image
  return output[0] if single else output


def generate_unblended(
  params: Params,
  content_code: ContentCode,
  vector: jax.Array,
  noise_gain: jax.Array,
  *,
  noise_corner: jax.Array | None = None,
) -> jax.Array:
  """What `generate` computes before it mixes and blends: one style for the whole image.

  Args:
    params: needs generator.
    content_code: of a batch B.
    vector: style vectors [B or 1, D].
    noise_gain: [B or 1, 1, 1, 1] or scalar, from `controls.strength.split`.
    noise_corner: [B or 1, 2], as `Generator` takes it.

  Returns:
    [B, H, W, 3] float32 in [0, 1].
  """
  settings = {"noise_gain": noise_gain, "noise_corner": noise_corner}
  part = part_of(params, "generator")
  return models.nets.applied(
    models.nets.Generator(params.config), part, content_code, vector, **settings
  )


def _common_batch(**sizes: int) -> int:
  """The batch size that all of these have, or 1; raises ValueError where two differ."""
  batch = max(sizes.values())
  for name, size in sizes.items():
    if size not in (1, batch) or size == 0:
      raise ValueError(f"{name}: found a batch of {size}, expected 1 or {batch or 'more'}")
  return batch


@on_any_mesh
def discriminate(params: Params, image: jax.Array) -> jax.Array:
  """Step 4: scores how much an image looks like a real artwork to the discriminator.

  Args:
    params: needs discriminator.
    image: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.

  Returns:
    [B] or a scalar, unbounded, higher is more real: mean over patches, then over scales.

  Raises:
    ValueError: a wrong shape or dtype, or params without that part.
  """
  score = mean_score(discriminator_scores(params, _as_batch(image, "image")[0]))
  return score[0] if jnp.ndim(image) == 3 else score


def discriminator_scores(params: Params, image: jax.Array) -> tuple[jax.Array, ...]:
  """The patch scores behind `discriminate`: for each scale [B, h, w, 1]; image [B, H, W, 3]."""
  part = part_of(params, "discriminator")
  with jax.named_scope("discriminate"):
    return models.nets.applied(models.nets.Discriminator(params.config), part, image)


def mean_score(scores: tuple[jax.Array, ...]) -> jax.Array:
  """Mean of patch scores over patches, then scales: tuple of [B, h, w, 1] → [B]."""
  return jnp.stack([s.mean((1, 2, 3)) for s in scores]).mean(0)


@on_any_mesh
def sample_texture(params: Params, key: jax.Array) -> jax.Array:
  """Draws a texture sample from the noise generator: [T, T, 3] in [0, 1], T = config.texture_size.

  Raises:
    ValueError: params without noise_generator.
  """
  z = jax.random.normal(key, (1, params.config.noise_dim), jnp.float32)
  return textures(params, z)[0]


def textures(params: Params, z: jax.Array) -> jax.Array:
  """Texture samples for given noise: z [B, Z], standard normal → [B, T, T, 3] in [0, 1]."""
  part = part_of(params, "noise_generator")
  with jax.named_scope("sample"):
    return models.nets.applied(models.nets.noise_generator(params.config), part, z)


@on_any_mesh
def sample_style(params: Params, key: jax.Array) -> StyleCode:
  """Draws a new style: the style code of `sample_texture(params, key)`, unbatched.

  Raises:
    ValueError: params without noise_generator or style_encoder.
  """
  return encode_style(params, sample_texture(params, key))


@takes_pixel_controls
@on_any_mesh
def stylize(
  params: Params,
  content: jax.Array,
  styles: jax.Array | Sequence[jax.Array],
  *,
  weights: jax.Array | None = None,
  strength: jax.Array | float = 1.0,
  stroke: jax.Array | float | None = None,
  noise_key: jax.Array | None = None,
  seamless: str = "",
  **controls: Unpack[PixelControls],
) -> jax.Array:
  """Stylizes `content` in the style of `styles`: steps 1 to 3 in one call, with every control.

  All controls are traced: another value never recompiles, and each has a gradient. One that is
  left at None costs nothing.

  Args:
    params: from `load_pretrained` or `init_params`.
    content: [B, H, W, 3] or [H, W, 3], float32 in [0, 1], H and W ≥ 16.
    styles: likewise, of any size; a shorter side of about 320 pixels works best. Or a sequence of S
      single images, each of its own size.
    weights: [S] or maps [S, H, W], as in `generate`: the styles are mixed. None: one style for each
      content of the batch, or one for all.
    strength: scalar, [B] or a map [H, W], from 0 (the content itself) through 1 (as trained) to 2.
    stroke: scalar, or one for each style: the size of strokes, 1/4 to 4 times that in the style as
      given, as in `encode_style`; None is 1.
    noise_key: as in `generate`.
    seamless: "x", "y" or "xy", static: the content, and so the result, continues at the other side,
      along its rows, its columns or both, as in textures that tile or panoramas ("x"). H and W must
      be multiples of the config's stride.
    controls: pixel controls, as in `PixelControls`.

  Returns:
    [B, H, W, 3], or [H, W, 3] when nothing has a batch; of the content's size.

  Raises:
    ValueError: as `encode_content`, `encode_style` and `generate`, or a pixel control of another
      shape, range or mode.
    TypeError: a keyword that is no argument and no pixel control.
  """
  edges = seamless_edges(seamless, jnp.shape(content)) if seamless else None
  stylized = generate(
    params,
    encode_content(params, content, edges=edges),
    _encode_styles(params, styles, stroke),
    strength=strength,
    weights=weights,
    noise_key=noise_key,
  )
  return apply_controls(stylized, content, controls)


def _encode_styles(
  params: Params, styles: jax.Array | Sequence[jax.Array], stroke: jax.Array | float | None
) -> StyleCode:
  """The code of an image or batch, or the codes of a sequence of images, stacked."""
  if not isinstance(styles, list | tuple):
    return encode_style(params, styles, stroke=stroke)
  for style in styles:
    if jnp.ndim(style) != 3:
      raise ValueError(f"styles: found shape {jnp.shape(style)} in a sequence, expected [H, W, 3]")
  each: Any = [stroke] * len(styles) if stroke is None or not jnp.ndim(stroke) else stroke
  if not styles or len(each) != len(styles):
    raise ValueError(
      f"styles: found {len(styles)} images and {len(each)} strokes, expected as many, at least one"
    )
  codes = [encode_style(params, style, stroke=s) for style, s in zip(styles, each)]
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *codes)


def _as_batch(image: jax.Array, name: str) -> tuple[jax.Array, bool]:
  shape = jnp.shape(image)
  if len(shape) not in (3, 4) or shape[-1] != 3:
    raise ValueError(f"{name}: found shape {shape}, expected [H, W, 3] or [B, H, W, 3]")
  if len(shape) == 4 and shape[0] == 0:
    raise ValueError(f"{name}: found a batch of 0 images, expected at least 1")
  if any(side < MIN_SIDE for side in shape[-3:-1]):
    raise ValueError(
      f"{name}: found {shape[-2]}×{shape[-3]} pixels, expected at least {MIN_SIDE}×{MIN_SIDE}"
    )
  if isinstance(image, np.ndarray) and image.dtype.kind == "f":
    # Arrays on a device aren't checked: reading their values would wait for the device.
    low, high = image.min(), image.max()
    if not (low >= -1e-3 and high <= 1.001):
      raise ValueError(f"{name}: found values from {low:g} to {high:g}, expected 0 to 1")
  image = jnp.asarray(image)
  if not jnp.issubdtype(image.dtype, jnp.floating):
    raise ValueError(f"{name}: found dtype {image.dtype}, expected float32 in [0, 1]")
  single = image.ndim == 3
  return (image[None] if single else image), single


def _batched_content(code: ContentCode) -> tuple[ContentCode, bool]:
  single = code.levels[0].ndim == 3
  return (
    dataclasses.replace(code, **jax.tree.map(lambda x: x[None], _maps(code))) if single else code
  ), single


def _maps(code: ContentCode) -> dict:
  """The fields of a content code that have the image's batch axis."""
  return {"levels": code.levels, "image": code.image}


def _first(tree):
  return jax.tree.map(lambda x: x[0], tree)


def _broadcast(x: jax.Array, batch: int) -> jax.Array:
  return x if x.shape[0] == batch else jnp.broadcast_to(x, (batch, *x.shape[1:]))
