"""The commands that are attacked: what each runs, and what two at once may result in."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
  """A command, with {style} or {side} where its two versions differ.

  Attributes:
    name: name of the row.
    arguments: script and arguments, separated by spaces; paths are relative to the folder in which
      the command is started.
    joins: whether the output of two at once must contain both, not one of the two alone.
    refuses: whether the later of two at once may be refused with one line.
    files_apart: whether each output file is independent, so that after two at once some may be from
      one and some from the other.
  """

  name: str
  arguments: str
  joins: bool = False
  refuses: bool = False
  files_apart: bool = False

  def command(self, version: str) -> list[str]:
    """The script and its arguments, for version "a" or "b"."""
    side = 48 if version == "a" else 64
    return [word.format(style=version, side=side) for word in self.arguments.split()]


STYLES_ADD = Case(
  "styles add",
  "infer.py styles add {style}.png --weights a.safetensors --library out/styles.safetensors",
  joins=True,
)
_STYLIZE = "infer.py --weights a.safetensors --style {style}/style.png --content"
CASES = (
  Case("one image", f"{_STYLIZE} photos/1.png --output out/one.png"),
  Case("a folder of images", f"{_STYLIZE} photos --output out/", files_apart=True),
  Case(
    "optimization",
    "infer.py --method gram --content photos/1.png --style {style}.png --size 64 --steps 8 "
    "--output out/best.png",
  ),
  Case("sequence to a folder", f"{_STYLIZE} photos --sequence --output out/"),
  Case("sequence to a GIF", f"{_STYLIZE} photos --sequence --output out/film.gif"),
  Case(
    "shards",
    "train.py shards --input-dir photos --output-dir out/ --shard-size 0.01 --max-side {side}",
    refuses=True,
  ),
  STYLES_ADD,
  Case(
    "styles sheet",
    "infer.py styles sheet --content photos/1.png --weights a.safetensors "
    "--library {style}_styles.safetensors --output out/sheet.png --size 64",
  ),
  Case(
    "export",
    "infer.py export --weights {style}.safetensors --output out/stylize.zip --platforms cpu",
  ),
)
