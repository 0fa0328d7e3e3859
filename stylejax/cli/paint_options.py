"""Options of `stylejax paint` and what its --help says; imports nothing that takes time."""

import dataclasses
from typing import Annotated, Literal

from stylejax.cli.options import option
from stylejax.images import formats

DESCRIPTION = """Stylize images: each content in each style.

Examples:
  # One photo in the style of one painting: writes photo_painting.png.
  stylejax paint photo.jpg painting.jpg
  # The same to a name of your own, and with flags instead of places.
  stylejax paint photo.jpg painting.jpg out.png
  stylejax paint --content photo.jpg --style painting.jpg --output out.png
  # Half as strong, with larger strokes and the photo's own colors.
  stylejax paint photo.jpg painting.jpg --strength 0.5 --stroke 2 --preserve-color 1
  # Every photo of a folder in two styles: stylized/<photo>_<style>.jpg.
  stylejax paint photos wave.jpg irises.jpg --output stylized/ --format jpg
  # In a mixture of two styles; and from one to the other in 9 steps, as a strip or a GIF.
  stylejax paint photo.jpg wave.jpg:0.7 irises.jpg:0.3 --output out.png
  stylejax paint photo.jpg wave.jpg irises.jpg --interpolate 9 --output way.gif
  # By regions: the sky (white in sky.png) like irises, the rest like a wave; without a style the
  # rest stays as it is.
  stylejax paint photo.jpg wave.jpg --mask sky.png=irises.jpg
  # A quick look at a large photo: shorter side 384 pixels.
  stylejax paint large.jpg painting.jpg look.webp --size 384
  # A texture that tiles without an edge.
  stylejax paint stone.png painting.jpg --seamless xy
  # A style that nobody painted, invented by the noise generator.
  stylejax paint photo.jpg --seed 7
  # Styles kept under a name, and all of them at a glance.
  stylejax styles add wave.jpg irises.jpg
  stylejax paint photo.jpg @wave
  stylejax styles sheet --content photo.jpg --output sheet.png
  # With weights of your own training.
  stylejax train export --workdir runs/mine --output mine.safetensors
  stylejax paint photo.jpg painting.jpg --weights mine.safetensors

Videos and animations: stylejax sequence --help. One image with much time:
stylejax optimize --method gram --help.

Exit status: 0, all written; 1, some images could not be read and were skipped; 2, a mistake: one
line says what was found and what was expected, and nothing is written.

Compiled programs are kept in ~/.cache/stylejax, so that the next start is quicker; the environment
variable STYLEJAX_CACHE names another folder, or none if it is empty.
"""

GROUPS = {
  "style": ("style", "seed", "mask", "stroke", "style_size", "library", "weights"),
  "strength and color": ("strength", "strength_map", "preserve_color", "color_mode"),
  "output": ("output", "format", "quality", "size", "interpolate", "resume"),
  "tiling": ("tile", "seamless", "shard"),
  "multi-machine": ("distributed", "coordinator", "processes", "process"),
}
"""Titles of the boxes in --help, and the fields in each."""


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of the command, as `stylejax.inference.batch.stylize_files` takes them."""

  files: Annotated[
    tuple[str, ...],
    option(
      "The image to stylize, the image whose style to take, and the file to write; by default "
      "CONTENT_STYLE.png in this folder, under a new name. With --output all behind the first are "
      "styles; with --style all are contents.",
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
      f"The file to write ({formats.WRITTEN_SUFFIXES}) for one content in one style, else a "
      "folder. Transparency is kept in PNG and WebP and laid on white in JPEG. Inputs are never "
      "overwritten; other files are.",
      metavar="PATH",
      default="(default: CONTENT_STYLE in this folder)",
    ),
  ] = None
  style: Annotated[
    tuple[str, ...],
    option(
      "Images whose style to take: files, folders, or @NAME from the library of `stylejax "
      "styles`. Each content is stylized in each; with a weight behind each, as in a.jpg:0.7 "
      "b.jpg:0.3, in their mixture.",
      metavar="PATH[:WEIGHT] [...]",
      default="(or --seed or --mask)",
    ),
  ] = ()
  mask: Annotated[
    tuple[str, ...],
    option(
      "A style for a region: white in the mask gets it, gray partly, black what --style "
      "says, or nothing without --style. A mask has the content's size. Several may be given.",
      metavar="MASK=STYLE [...]",
      default="(default: none)",
    ),
  ] = ()
  strength: Annotated[
    float,
    option(
      "How far to go: 0 is the content itself, 1 as trained; up to 2 the paint gets rougher.",
      metavar="NUMBER",
    ),
  ] = 1.0
  strength_map: Annotated[
    str | None,
    option(
      "An image of the content's size: --strength where it is white, less where it is darker, none "
      "where it is black.",
      metavar="PATH",
      default="(default: none)",
    ),
  ] = None
  preserve_color: Annotated[
    float, option("From 0, the style's colors, to 1, the content's.", metavar="NUMBER")
  ] = 0.0
  color_mode: Annotated[
    Literal["luminance", "moments"],
    option(
      "How colors are kept: luminance takes only light and dark from the painting; moments "
      "shifts all its colors until their mean and spread are the content's."
    ),
  ] = "luminance"
  stroke: Annotated[
    float | None,
    option(
      "Size of the strokes, 0.25 to 4: 2 reads the style at twice --style-size's default.",
      metavar="NUMBER",
      default="(default: 1)",
    ),
  ] = None
  style_size: Annotated[
    int | None,
    option(
      "The same in pixels: shorter side at which styles are read. Larger gives larger, smoother "
      "strokes.",
      metavar="PIXELS",
      default="(default: 320)",
    ),
  ] = None
  size: Annotated[
    int | None,
    option(
      "Shorter side of the output: the content is scaled to it, up or down, and then painted.",
      metavar="PIXELS",
      default="(default: the content's own)",
    ),
  ] = None
  tile: Annotated[
    float | None,
    option(
      "Paint in tiles of about so many megapixels: the same image in less memory.",
      metavar="NUMBER",
      default="(default: where memory is short)",
    ),
  ] = None
  seamless: Annotated[
    Literal["x", "y", "xy"] | None,
    option(
      "For contents whose left edge goes on at their right one (x: panoramas of 360 degrees), "
      "their upper at their lower one (y) or both (xy: textures that tile)."
    ),
  ] = None
  shard: Annotated[
    bool,
    option(
      "Share the rows of each image among this machine's devices. By default each takes an image "
      "of its own."
    ),
  ] = False
  seed: Annotated[
    int | None,
    option(
      "Invent a style from this number, instead of or beside --style. Needs weights with a noise "
      "generator.",
      metavar="INTEGER",
      default="(default: none)",
    ),
  ] = None
  interpolate: Annotated[
    int | None,
    option(
      "So many images on the way from the first style to the last, side by side; as an animation "
      "if the output is a .gif.",
      metavar="INTEGER",
      default="(default: none)",
    ),
  ] = None
  library: Annotated[
    str | None,
    option("File of the styles called @NAME.", metavar="FILE", default="(default: the user's)"),
  ] = None
  weights: Annotated[
    str,
    option(
      "base, which come with the package, or a .safetensors file of `stylejax train export`.",
      metavar="NAME|FILE",
    ),
  ] = "base"
  quality: Annotated[
    int,
    option(
      "Of JPEG and WebP, 1 to 100. WebP at 100 is lossless; PNG always is.", metavar="INTEGER"
    ),
  ] = 95
  resume: Annotated[
    bool,
    option(
      "Leave out the images whose outputs are there already: do what a run that was killed did not "
      "get to. Outputs are whole or not there."
    ),
  ] = False
  distributed: Annotated[
    bool,
    option(
      "Share the contents with the other processes of a TPU pod, Slurm, Open MPI or Kubernetes "
      "job; all see the same files."
    ),
  ] = False
  coordinator: Annotated[
    str | None,
    option(
      "HOST:PORT of process 0, where JAX detects no cluster; with --processes and --process.",
      metavar="HOST:PORT",
      default="(default: none)",
    ),
  ] = None
  processes: Annotated[
    int | None, option("How many share the work.", metavar="INTEGER", default="(default: none)")
  ] = None
  process: Annotated[
    int | None,
    option("Number of this process, from 0.", metavar="INTEGER", default="(default: none)"),
  ] = None
  format: Annotated[
    Literal["png", "jpg", "webp"], option("Format of the files when --output is a folder.")
  ] = "png"
