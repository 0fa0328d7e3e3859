"""Grids that show what a run has learnt so far; pure functions of parameters and pictures."""

import jax
import jax.numpy as jnp

from stylejax import transfer

ROWS = 4


def preview(command: str, params: transfer.Params, content: jax.Array | None,
            style: jax.Array | None) -> jax.Array:
  """Rows of pictures, [R, C, S, S, 3] in [0, 1], float32.

  autoencoder: picture, reconstruction. transfer: content, style, stylized, reconstruction. gan:
  four swatches a row, of noise that is the same each time.

  Args:
    command: whose grid.
    params: with the parts that the command trains.
    content: uint8 [R, S, S, 3], or None for gan.
    style: uint8 [R, S, S, 3], or None for autoencoder.
  """
  if command == "gan":
    z = jax.random.normal(jax.random.key(0), (ROWS * ROWS, params.config.noise_dim))
    swatches = transfer.swatches(params, z)
    return swatches.reshape(ROWS, ROWS, *swatches.shape[1:])
  content = content.astype(jnp.float32) / 255.0
  if command == "autoencoder":
    columns = [content, transfer.reconstruct(params, content)]
  else:
    style = style.astype(jnp.float32) / 255.0
    columns = [content, style, transfer.stylize(params, content, style),
               transfer.reconstruct(params, content)]
  return jnp.stack(columns, 1)
