"""Hooks of the documentation site (mkdocs.yml): pages from files outside docs/, and their links.

Not a command. The model card, the changelog, CONTRIBUTING.md and the notebooks stay where people
look for them in the checkout, and are pages of the site too.
"""

import json
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

import stylejax

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
  "CHANGELOG.md": "changes.md",
  "CONTRIBUTING.md": "contributing.md",
  "stylejax/assets/MODEL_CARD.md": "model_card.md",
  "stylejax/assets/MODEL_CARD_BASE_1.md": "model_card_base_1.md",
}
"""Files of the checkout and the pages that they become."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files, config):
  """Adds a page for each file outside of docs/ and for each notebook."""
  for source, page in OUTSIDE.items():
    files.append(File.generated(config, page, content=(ROOT / source).read_text()))
  for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
    page = f"notebooks/{path.stem}.md"
    files.append(File.generated(config, page, content=notebook_page(path)))
  return files


def on_page_markdown(markdown, page, config, files):
  """Rewrites links for the site: to its page where there is one, else to the path as text."""
  sources = {place: source for source, place in OUTSIDE.items()}
  source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
  return find_homes(resolve_links(markdown, source, page.file.src_uri))


def find_homes(markdown: str) -> str:
  """Replaces `::: stylejax.NAME`, resolved lazily, by the module path that mkdocstrings can find.

  The table of public names in stylejax/__init__.py says in which module each is. The anchors are
  the public names, so links to them outlive a move.
  """

  def home(match: re.Match) -> str:
    name = match[1]
    options = f"    options:\n      heading: stylejax.{name}\n      toc_label: {name}"
    anchor = f'<a id="stylejax.{name}"></a>'
    return f"{anchor}\n\n::: stylejax.{stylejax._HOMES[name]}.{name}\n{options}"

  return re.sub(r"^::: stylejax\.(\w+)$", home, markdown, flags=re.MULTILINE)


def resolve_links(markdown: str, source: str, page: str) -> str:
  """Rewrites the relative links of a file of the checkout for the page that it becomes.

  Args:
    markdown: the text.
    source: path of the file in the checkout.
    page: path of the page in the site.
  """

  def resolved(match: re.Match) -> str:
    image, text, target = match.groups()
    if re.match(r"[a-z]+:|#", target):
      return match[0]
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    place = OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if place is None:
      return f"`{path}`" if text in (path, f"`{path}`") else f"{text} (`{path}`)"
    place = posixpath.relpath(place, posixpath.dirname(page) or ".")
    return f"{image}[{text}]({place}{'#' + anchor if anchor else ''})"

  fence = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
  return "".join(
    part if part.startswith("```") else _LINK.sub(resolved, part) for part in fence.split(markdown)
  )


def notebook_page(path: Path) -> str:
  """A notebook as Markdown: its texts and its code; outputs stay in the notebook."""
  cells = json.loads(path.read_text())["cells"]
  texts = [
    "".join(cell["source"])
    if cell["cell_type"] == "markdown"
    else "```python\n" + "".join(cell["source"]) + "\n```"
    for cell in cells
  ]
  download = f"[Download this page as a notebook]({path.name}), to run it in Jupyter."
  return "\n\n".join([texts[0], download, *texts[1:]]) + "\n"
