"""The options of `benchmarks.quality.quality`, and their checks."""

import dataclasses
from pathlib import Path

from benchmarks.harness import command_line
from benchmarks.quality import descents
from stylejax.errors import InputError
from stylejax.metrics.artifacts import MIN_SIDE
from stylejax.runtime.files import check_writable
from stylejax.transfer import MAX_STRENGTH

# Close together near 1, where the content distance must still rise.
STRENGTHS = "0,0.25,0.5,0.75,0.9,0.95,1,1.25,1.5"


@dataclasses.dataclass(frozen=True)
class Options:
  """Which pairs and methods to compare, and where to write the results."""

  pairs: Path
  """CSV file with lines of name,content,style or name,content,style,sha256,sha256 (checked)."""
  root: Path | None = None
  """Folder that the paths in the CSV are relative to; by default the one above the CSV's."""
  reference: Path | None = None
  """Folder of outputs to compare with: NAME.jpg or NAME.png."""
  weights: str = "base"
  """base, or a file of `train.py export`."""
  beside: str = ""
  """Other weights, names or files separated by commas: a row of each, at strength 1."""
  strengths: str = STRENGTHS
  """Strengths of our rows, 0 to 2, separated by commas."""
  optimize: str = ""
  """SIDE:STEPS,…: also optimize the pixels, at these sides from coarse to fine. 128:15,256:12 takes
  a while; by default there is no such row."""
  descend: str = ""
  """Methods that optimize the pixels at 256 px, separated by commas: neighbors, refine. Each image
  takes minutes; a row of the networks at that size is added."""
  artifact_sizes: str = ""
  """Also look for artifacts in our images at strength 1, made from square crops with these sides
  in pixels, separated by commas."""
  baselines_only: bool = False
  """Leave out our rows; then no weights are needed."""
  vgg: Path | None = None
  """The perceptual net: a torchvision VGG16 state dict; by default the package's."""
  own_size: bool = False
  """Compute content columns at the content's own size, which compiles once for each size."""
  limit: int | None = None
  """Number of pairs to take, from the first on; by default all."""
  output: Path | None = None
  """JSON file for the results, with machine, versions and command."""
  sheet: Path | None = None
  """PNG file with content, style and outputs."""
  sheet_pairs: int = 8
  """Pairs on the sheet."""
  shuffled: Path | None = None
  """Folder for sheets that show each method under a letter, to be ranked by eye: see
  `python -m benchmarks ranking --help`."""
  cache: Path | None = None
  """Folder for measurements, from which the next or an interrupted run continues."""

  @property
  def strength_list(self) -> tuple[float, ...]:
    """The strengths as numbers, each once."""
    try:
      values = tuple(float(part) for part in self.strengths.split(","))
    except ValueError:
      values = ()
    if not values or not all(0 <= value <= MAX_STRENGTH for value in values):
      raise InputError(
        f"--strengths: found {self.strengths!r}, expected numbers from 0 to {MAX_STRENGTH:g}"
      )
    return tuple(dict.fromkeys(values))

  @property
  def schedule(self) -> tuple[tuple[int, int], ...]:
    """(side, steps) of the optimization, from coarse to fine."""
    parts = [part.split(":") for part in self.optimize.split(",")] if self.optimize else []
    if not all(len(part) == 2 and all(n.isdecimal() for n in part) for part in parts):
      raise InputError(f"--optimize: found {self.optimize!r}, expected SIDE:STEPS,…")
    stages = tuple((int(side), int(steps)) for side, steps in parts)
    if not all(16 <= side <= 1024 and steps for side, steps in stages):
      raise InputError(
        f"--optimize: found {self.optimize!r}, expected sides from 16 to 1024, steps from 1"
      )
    return stages

  @property
  def descents(self) -> tuple[str, ...]:
    """The methods that optimize the pixels at 256 px."""
    names = tuple(self.descend.split(",")) if self.descend else ()
    if not set(names) <= set(descents.ROWS):
      raise InputError(
        f"--descend: found {self.descend!r}, expected some of {', '.join(descents.ROWS)}"
      )
    if names and self.baselines_only:
      raise InputError("--descend: found --baselines-only beside it, expected one of the two")
    return names

  @property
  def artifact_sides(self) -> tuple[int, ...]:
    """The sides of the squares on which artifacts are looked for."""
    parts = self.artifact_sizes.split(",") if self.artifact_sizes else []
    if not all(part.isdecimal() and int(part) >= MIN_SIDE for part in parts):
      raise InputError(
        f"--artifact-sizes: found {self.artifact_sizes!r}, expected whole numbers from {MIN_SIDE}"
      )
    return tuple(int(part) for part in parts)

  def check(self) -> None:
    """Raises InputError for the first option that is invalid."""
    self.strength_list, self.schedule, self.descents, self.artifact_sides  # noqa: B018, each raises its error
    command_line.at_least("--limit", 1 if self.limit is None else self.limit, 1)
    command_line.at_least("--sheet-pairs", self.sheet_pairs, 1)
    for flag in ("output", "sheet"):
      path = getattr(self, flag)
      if path is not None:
        check_writable(path, flag)
    if self.sheet is not None and self.sheet.suffix.lower() != ".png":
      raise InputError(f"sheet {self.sheet}: found {self.sheet.suffix!r}, expected .png")
    if self.cache is not None and self.cache.exists() and not self.cache.is_dir():
      raise InputError(f"cache {self.cache}: found a file, expected a folder")
