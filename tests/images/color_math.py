"""Transfer curves from their standards, written independently of the code under test."""

import numpy as np


def srgb(light):
  """Linear light to sRGB values, by IEC 61966-2-1."""
  power = np.maximum(light, 0) ** (1 / 2.4)
  return np.where(light <= 0.0031308, 12.92 * light, 1.055 * power - 0.055)


def light(values):
  """sRGB values to linear light, by IEC 61966-2-1."""
  return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def gray(values):
  return np.repeat(np.asarray(values)[..., None], 3, -1)


def pq(nits):
  """A luminance in cd/m² to PQ values, by SMPTE ST 2084."""
  y = (nits / 10_000) ** (2610 / 16384)
  return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def light_of_pq(values):
  """PQ values to cd/m², by SMPTE ST 2084."""
  power = values ** (32 / 2523)
  part = np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
  return 10_000 * part ** (16384 / 2610)


def as8(values):
  return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


# ITU-R BT.2087 and SMPTE EG 432-1: linear sRGB in the primaries of BT.2020 and Display P3.
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])
