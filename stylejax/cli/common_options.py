"""Options that several commands share, with the same help; this module doesn't import JAX."""

from typing import Annotated

from stylejax.cli.options import option

Strength = Annotated[
  float,
  option(
    "How strongly to stylize: 0 leaves the content as it is, 1 is as trained; from 1 to 2 the "
    "brushwork gets rougher.",
    metavar="NUMBER",
  ),
]

Stroke = Annotated[
  float | None,
  option(
    "Size of the brushstrokes, 0.25 to 4: at 2, styles are read at twice the default --style-size.",
    metavar="NUMBER",
    default="(default: 1)",
  ),
]

StyleSize = Annotated[
  int | None,
  option(
    "Instead of --stroke: the shorter side, in pixels, at which styles are read. Larger values "
    "give larger, smoother strokes.",
    metavar="PIXELS",
    default="(default: 320; with a --method other than network, the output's)",
  ),
]

Size = Annotated[
  int | None,
  option(
    "Shorter side of the output: the content is scaled to it, up or down, and then stylized.",
    metavar="PIXELS",
    default="(default: the content's own)",
  ),
]

Library = Annotated[
  str | None,
  option(
    "The library that holds the styles named @NAME.", metavar="FILE", default="(default: your own)"
  ),
]

Weights = Annotated[
  str,
  option(
    "base (in the package), or a .safetensors file from `stylejax train export`.",
    metavar="NAME|FILE",
  ),
]

Quality = Annotated[
  int,
  option(
    "Quality of JPEG and WebP, 1 to 100. WebP at 100 is lossless; PNG always is.", metavar="INTEGER"
  ),
]
