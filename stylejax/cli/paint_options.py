"""Options of `stylejax paint` and the text of its --help, without slow imports."""

import dataclasses
from typing import Annotated, Literal

from stylejax.cli import common_options, method_options, pixel_options
from stylejax.cli.options import option
from stylejax.images import formats
from stylejax.inference.method_table import METHODS

DESCRIPTION = """Stylize images: each content in each style.

Examples:
  # One photo in the style of one painting: writes photo_painting.png.
  stylejax paint photo.jpg painting.jpg
  # The same, under a name that you choose: by position and with flags.
  stylejax paint photo.jpg painting.jpg out.png
  stylejax paint --content photo.jpg --style painting.jpg --output out.png
  # Half as strong, with larger strokes and the photo's own colors.
  stylejax paint photo.jpg painting.jpg --strength 0.5 --stroke 2 --preserve-color 1
  # Every photo of a folder in two styles: stylized/<photo>_<style>.jpg.
  stylejax paint photos wave.jpg irises.jpg --output stylized/ --format jpg
  # In a mixture of two styles; and the way from one to the other in 9 images, as a strip or a GIF.
  stylejax paint photo.jpg wave.jpg:0.7 irises.jpg:0.3 --output out.png
  stylejax paint photo.jpg wave.jpg irises.jpg --interpolate 9 --output way.gif
  # By regions: the sky (white in sky.png) in the style of irises.jpg, the rest in that of wave.jpg;
  # without wave.jpg the rest stays as it is.
  stylejax paint photo.jpg wave.jpg --mask sky.png=irises.jpg
  # A quick preview of a large photo: its shorter side becomes 384 pixels.
  stylejax paint large.jpg painting.jpg look.webp --size 384
  # A texture that tiles without a seam.
  stylejax paint stone.png painting.jpg --seamless xy
  # A style that nobody painted, invented by the noise generator.
  stylejax paint photo.jpg --seed 7
  # Styles saved under names, and all of them at a glance.
  stylejax styles add wave.jpg irises.jpg
  stylejax paint photo.jpg @wave
  stylejax styles sheet --content photo.jpg --output sheet.png
  # With weights that you have trained.
  stylejax train export --workdir runs/mine --output mine.safetensors
  stylejax paint photo.jpg painting.jpg --weights mine.safetensors

  # With the style's own strokes, if you can wait for minutes; look.png shows the progress.
  stylejax paint photo.jpg painting.jpg --method neighbors --watch look.png
  # Between the two in time and result; a run that was killed continues where it stopped.
  stylejax paint photo.jpg painting.jpg --method refine --output out.png --resume

Four methods: {methods}. All but network
optimize the pixels, which takes minutes per image, and scale photos to at most 512 pixels unless
--size says otherwise.

Videos and animations: stylejax sequence --help.

Exit status: 0, everything was written; 1, some images could not be read and were skipped; 2, an
error: one line says what was found and what was expected, and nothing is written.

Compiled programs are kept in ~/.cache/stylejax, so that the next start is quicker; the environment
variable STYLEJAX_CACHE names another folder; if it is empty, nothing is kept.
"""

DESCRIPTION = DESCRIPTION.replace(
  "{methods}", "; ".join(f"{name} {row.help}" for name, row in METHODS.items())
)

GROUPS = {
  "style": ("style", "seed", "mask", "stroke", "style_size", "library", "weights"),
  "strength and color": ("strength", "strength_map", *pixel_options.FIELDS),
  "output": ("output", "format", "quality", "size", "interpolate", "resume"),
  "method": (
    *("method", "steps", "watch", "content_share", "content_weight", "start_strength"),
    *("style_weight", "optimizer"),
  ),
  "tiling": ("tile", "seamless", "shard"),
  "multi-machine": ("distributed", "coordinator", "processes", "process"),
}
"""The fields in each box of --help, by the box's title."""


@pixel_options.with_pixel_controls
@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax paint`, most of them fields of `stylejax.inference.batch.Request`."""

  files: Annotated[
    tuple[str, ...],
    option(
      "The image to stylize, the image whose style to use, and the file to write; by default "
      "CONTENT_STYLE.png in this folder, with a number if that exists. With --output, all files "
      "after the first are styles; with --style, all are contents.",
      metavar="CONTENT [STYLE [OUTPUT]]",
      default="",
      positional=True,
    ),
  ] = ()
  content: Annotated[
    tuple[str, ...],
    option(
      f"Images to stylize: files or folders ({formats.names(formats.READ_IMAGES)}).",
      metavar="PATH [PATH ...]",
    ),
  ] = ()
  output: Annotated[
    str | None,
    option(
      f"The file to write ({formats.WRITTEN_SUFFIXES}) for one content in one style, otherwise a "
      "folder. Transparency is kept in PNG and WebP and laid on white in JPEG. Inputs are never "
      "overwritten; other files are.",
      metavar="PATH",
      default="(default: CONTENT_STYLE in this folder)",
    ),
  ] = None
  style: Annotated[
    tuple[str, ...],
    option(
      "Images whose style to use: files, folders, or @NAME from the library of `stylejax "
      "styles`. Each content is stylized in every style; with a weight after each style, as in "
      "a.jpg:0.7 b.jpg:0.3, in a mixture of them.",
      metavar="PATH[:WEIGHT] [...]",
      default="(or --seed or --mask)",
    ),
  ] = ()
  mask: Annotated[
    tuple[str, ...],
    option(
      "A style for a region: full where the mask is white, partial where it is gray. Where it is "
      "black, --style applies; without --style the content stays as it is there. A mask must have "
      "the content's size. Several may be given.",
      metavar="MASK=STYLE [...]",
      default="(default: none)",
    ),
  ] = ()
  strength: common_options.Strength = 1.0
  strength_map: Annotated[
    str | None,
    option(
      "An image of the content's size: --strength applies where it is white, less of it where it "
      "is darker, none where it is black.",
      metavar="PATH",
      default="(default: none)",
    ),
  ] = None
  stroke: common_options.Stroke = None
  style_size: common_options.StyleSize = None
  size: common_options.Size = None
  tile: Annotated[
    float | None,
    option(
      "Stylize in tiles of about this many megapixels: the same image in less memory.",
      metavar="NUMBER",
      default="(default: tiles only where memory is short)",
    ),
  ] = None
  seamless: Annotated[
    Literal["x", "y", "xy"] | None,
    option(
      "For contents whose left and right edges join (x: 360-degree panoramas), whose top and "
      "bottom edges join (y), or both (xy: textures that tile)."
    ),
  ] = None
  shard: Annotated[
    bool,
    option(
      "Split the rows of each image among this machine's devices. By default each device takes an "
      "image of its own."
    ),
  ] = False
  seed: Annotated[
    int | None,
    option(
      "Invent a style from this number, instead of --style or in addition to it. The weights must "
      "include a noise generator.",
      metavar="INTEGER",
      default="(default: none)",
    ),
  ] = None
  interpolate: Annotated[
    int | None,
    option(
      "Number of images on the way from the first style to the last: they are written side by side "
      "or, if the output is a .gif, as an animation.",
      metavar="INTEGER",
      default="(default: none)",
    ),
  ] = None
  method: Annotated[
    Literal[*METHODS],  # type: ignore[valid-type]
    option(
      "How to stylize: with the network, in a second, or with a method without training, which "
      "optimizes the pixels for minutes."
    ),
  ] = "network"
  steps: method_options.Steps = None
  watch: method_options.Watch = None
  content_share: method_options.ContentShare = None
  content_weight: method_options.ContentWeight = None
  start_strength: method_options.StartStrength = None
  style_weight: method_options.StyleWeight = None
  optimizer: method_options.Optimizer = None
  library: common_options.Library = None
  weights: common_options.Weights = "base"
  quality: common_options.Quality = 95
  resume: Annotated[
    bool,
    option(
      "Skip the images whose outputs exist already, to finish a run that was killed. An output "
      "exists completely or not at all. With a method without training, an unfinished image "
      "continues from the last minute of that run and comes out the same."
    ),
  ] = False
  distributed: Annotated[
    bool,
    option(
      "Split the contents among the processes of a TPU pod, Slurm, Open MPI or Kubernetes "
      "job; all of them must see the same files."
    ),
  ] = False
  coordinator: Annotated[
    str | None,
    option(
      "HOST:PORT of process 0, for use with --processes and --process where JAX detects no "
      "cluster.",
      metavar="HOST:PORT",
      default="(default: none)",
    ),
  ] = None
  processes: Annotated[
    int | None,
    option("How many processes share the work.", metavar="INTEGER", default="(default: none)"),
  ] = None
  process: Annotated[
    int | None,
    option("Number of this process, from 0.", metavar="INTEGER", default="(default: none)"),
  ] = None
  format: Annotated[
    Literal["png", "jpg", "webp"], option("Format of the files when --output is a folder.")
  ] = "png"
