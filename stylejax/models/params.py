"""The parameters of all parts as one pytree; what is computed with them is in `transfer`."""

import dataclasses

import jax

from stylejax.models.config import ModelConfig
from stylejax.models.replaceable import Replaceable

MIN_SIDE = 16
"""Smallest height and width of an image, in pixels."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Params(Replaceable):
  """Parameters of all parts and the config that says how to run them; one pytree.

  Attributes:
    content_encoder, style_encoder, generator, discriminator, noise_generator: nested dicts of
      float32 arrays, or None for a missing part (a weights file may hold only some).
      The autoencoder's decoder is generator["decoder"].
    config: sizes of the nets, static.
  """

  content_encoder: dict | None
  style_encoder: dict | None
  generator: dict | None
  discriminator: dict | None
  noise_generator: dict | None
  config: ModelConfig = dataclasses.field(metadata={"static": True})


PARTS = ("content_encoder", "style_encoder", "generator", "discriminator", "noise_generator")


def check_parts(params: Params, *names: str) -> None:
  """Raises ValueError unless params has all of these parts."""
  for name in names:
    part_of(params, name)


def part_of(params: Params, name: str) -> dict:
  """The parameters of one part.

  Raises:
    ValueError: params doesn't have it.
  """
  part = getattr(params, name)
  if part is None:
    there = [p for p in PARTS if getattr(params, p) is not None]
    raise ValueError(f"params: found {', '.join(there) or 'nothing'}, expected also {name}")
  return part
