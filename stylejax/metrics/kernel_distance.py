"""How far a set of images is from another set, by features of both.

Distances between single images are in `content` and `style`.
"""

import numpy as np

from stylejax.errors import InputError


def kernel_terms(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
  """The terms whose mean over i ≠ j is the squared maximum mean discrepancy.

  h_ij = k(x_i, x_j) + k(y_i, y_j) − k(x_i, y_j) − k(x_j, y_i),  k(a, b) = (a·b / D + 1)³

  where each k is averaged over the crops of the two images.

  Args:
    features: [N, K, D]: features of K crops of each of N images.
    reference: [N, K', D], the same for N other images; image i may have been made from reference i,
      since the terms of an image with itself and with its own reference are left out.

  Returns:
    [N, N] float64.

  Raises:
    InputError: shapes that don't fit.
  """
  if features.ndim != 3 or features.shape[::2] != reference.shape[::2]:
    raise InputError(
      f"features to compare: found shapes {features.shape} and {reference.shape},"
      " expected [N, crops, D] with the same N and D"
    )

  def kernel(a, b):
    products = np.einsum("ikd,jld->ikjl", a, b, optimize=True, dtype=np.float64)
    return ((products / a.shape[-1] + 1) ** 3).mean((1, 3))

  across = kernel(features, reference)
  return kernel(features, features) + kernel(reference, reference) - across - across.T


def kernel_distance(terms: np.ndarray, *, chosen: np.ndarray | None = None) -> float:
  """Unbiased estimate of the squared MMD with KID's cubic kernel, from `kernel_terms`.

  Args:
    terms: [N, N].
    chosen: indices of the images to use, each once; None: all.

  Returns:
    About 0, possibly below, for two samples of one distribution.

  Departs from the published KID in taking any features, and in averaging over i ≠ j in the cross
  terms too, which keeps it unbiased where images come in pairs.
  Source: Bińkowski, Sutherland, Arbel & Gretton 2018, arXiv:1801.01401, section 4.
  """
  terms = terms if chosen is None else terms[np.ix_(chosen, chosen)]
  count = len(terms)
  return float((terms.sum() - np.trace(terms)) / (count * (count - 1)))
