"""What a batch needs for a method without training: its settings, and states saved for resuming."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from stylejax.images.decode import DecodedImage
from stylejax.inference.optimized import Optimized, Settings
from stylejax.inference.outputs import Job
from stylejax.inference.paint_request import Callbacks, Request
from stylejax.inference.request import Region, StyleMix
from stylejax.inference.stylizer import Stylizer
from stylejax.inference.unfinished import UnfinishedImage
from stylejax.weights import style_library


class Descents:
  """What all images of a run share; leaving its context unlocks all images.

  Args:
    request: a request for a method other than the networks.
    mixes, regions: those of the request's plan.
    stylizer: the networks.
    callbacks: those of the run.
  """

  def __init__(
    self,
    request: Request,
    mixes: Sequence[StyleMix],
    regions: Sequence[Region],
    stylizer: Stylizer,
    callbacks: Callbacks,
  ):
    self._request, self._mixes, self._regions = request, mixes, regions
    self._stylizer, self._callbacks = stylizer, callbacks
    self._open = contextlib.ExitStack()
    self._settings = Settings(
      request.method,
      request.options,
      style_size=request.style_size,
      stroke=1.0 if request.stroke is None else float(request.stroke),
      watch=request.watch,
      quality=int(request.quality),
      tile=None if request.tile is None else int(request.tile * 1_000_000),
    )

  def __enter__(self) -> "Descents":
    return self

  def __exit__(self, *unused: object) -> None:
    self._open.close()

  def prepare(self, job: Job, content: DecodedImage) -> Optimized:
    """Gives the content of a job to the method."""
    return Optimized(
      content,
      self._settings,
      self._stylizer,
      name=job.content,
      on_descent=self._callbacks.on_descent,
      on_note=self._callbacks.on_note,
    )

  def unfinished(self, job: Job, index: int) -> UnfinishedImage | None:
    """The saved state of a job's image in the mix with this index, or None.

    An output of several images side by side has none: it always begins anew.

    Raises:
      InputError: the state that an earlier run left doesn't fit this one, or another run uses it.
    """
    request, mix = self._request, self._mixes[index]
    if len(mix.mixtures) > 1:
      return None
    sources = [*mix.sources, *(region.source for region in self._regions)]
    files = [job.content, *(source.path for source in sources if source.path)]
    files += [region.mask for region in self._regions]
    files += [] if request.strength_map is None else [Path(request.strength_map)]
    used = [request.weights]
    if any(source.path is None and source.seed is None for source in sources):
      used.append(request.library or style_library.default_path())
    files += [Path(each) for each in used if os.path.isfile(each)]
    settings = {
      "method": request.method,
      "options": dict(request.options),
      "styles": [(source.name, str(source.path), source.seed) for source in sources],
      "mixture": mix.mixtures.tolist(),
      "masks": [str(region.mask) for region in self._regions],
      # The blend and the colors come after the descent.
      "strength": max(1.0, float(request.strength)),
      "sizes": [request.size, request.style_size, request.stroke],
      "weights": str(request.weights),
    }
    image = UnfinishedImage(job.outputs[index], settings, files, resume=request.resume)
    self._open.callback(image.close)
    return image
