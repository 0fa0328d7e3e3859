"""Code blocks of README, CONTRIBUTING and the site's pages, as the tests run them."""

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
  [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "stylejax/assets/MODEL_CARD.md",
    ROOT / "stylejax/assets/MODEL_CARD_BASE_1.md",
    *(ROOT / "docs").glob("*.md"),
  ]
)
_BLOCK = re.compile(
  r"(?:^<!-- not run: (?P<reason>[^>]*) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
  re.DOTALL | re.MULTILINE,
)


@dataclasses.dataclass(frozen=True)
class Block:
  """One fenced block.

  Attributes:
    page, line: where it begins.
    language: what the fence says.
    code: without the fences.
    reason: why it is only read and not run, from the comment above it, or None.
  """

  page: Path
  line: int
  language: str
  code: str
  reason: str | None

  def commands(self) -> list[str]:
    """The command lines of a block of shell."""
    joined = self.code.replace("\\\n", " ")
    lines = [part.strip() for line in joined.splitlines() for part in line.split(" && ")]
    # A quoted script for another machine: its last line ends with the quotation mark.
    return [line.removesuffix("'") if line.count("'") % 2 else line for line in lines if line]


def blocks(page: Path, language: str) -> list[Block]:
  """The fenced blocks of a page in one language."""
  text = page.read_text()
  return [
    Block(
      page,
      text[: match.start("code")].count("\n"),
      match["language"],
      match["code"],
      match["reason"],
    )
    for match in _BLOCK.finditer(text)
    if match["language"] == language
  ]
