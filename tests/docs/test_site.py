"""The site builds strictly, names every public function, and fetches nothing from other servers."""

import re
import subprocess
import sys

import pytest
from pages import ROOT

import stylejax

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
_FETCHED = re.compile(
  r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(https?:)?//[^"'\s>]+"""
  r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*href=["']?(https?:)?//"""
  r"""|url\(["']?(https?:)?//[^)]*\)|@import\s+["'](https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  pytest.importorskip("mkdocs", reason="mkdocs is not installed (pip install '.[docs]')")
  pytest.importorskip(
    "mkdocstrings", reason="mkdocstrings is not installed (pip install '.[docs]')"
  )
  folder = tmp_path_factory.mktemp("site")
  # Not --quiet: --strict then counts no warnings and passes over broken links (mkdocs 1.6.1,
  # https://github.com/mkdocs/mkdocs/issues/4126).
  built = subprocess.run(
    [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert built.returncode == 0, built.stderr
  return folder


def test_nothing_is_fetched_from_other_servers(site):
  files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
  assert len(files) > 20
  fetched = {
    (path.name, match[0]) for path in files for match in _FETCHED.finditer(path.read_text())
  }
  assert not fetched


def test_the_reference_has_every_public_name(site):
  page = (site / "reference" / "index.html").read_text()
  shown = set(re.findall(r"<h3 id=\"stylejax\.[\w.]*?(\w+)\"", page))
  assert shown == set(stylejax.__all__)
  anchors = set(re.findall(r"<a id=\"stylejax\.(\w+)\"", page))
  assert anchors == shown


def test_links_out_of_docs_become_pages_or_text():
  pytest.importorskip("mkdocs", reason="mkdocs is not installed (pip install '.[docs]')")
  sys.path.append(str(ROOT / "tools"))
  from site_hooks import resolve_links

  text = (
    "[a](../stylejax/assets/MODEL_CARD.md#data) [b](results/x.json) ![c](c.png)\n"
    "[benchmarks/x.py](../benchmarks/x.py) [why](../tools/y.py) [far](https://a.b/c)\n"
    "```sh\n[d](../e.py)\n```\n"
  )
  assert resolve_links(text, "docs/quality.md", "quality.md") == (
    "[a](model_card.md#data) [b](results/x.json) ![c](c.png)\n"
    "`benchmarks/x.py` why (`tools/y.py`) [far](https://a.b/c)\n"
    "```sh\n[d](../e.py)\n```\n"
  )
  card = resolve_links("![x](../../docs/s.jpg)", "stylejax/assets/MODEL_CARD.md", "model_card.md")
  assert card == "![x](s.jpg)"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path):
  nbclient = pytest.importorskip(
    "nbclient", reason="nbclient is not installed (pip install '.[docs]')"
  )
  nbformat = pytest.importorskip(
    "nbformat", reason="nbformat is not installed (pip install '.[docs]')"
  )
  pytest.importorskip("ipykernel", reason="ipykernel is not installed (pip install '.[docs]')")
  notebook = nbformat.read(path, as_version=4)
  assert not any(cell.get("outputs") for cell in notebook.cells), "outputs make it large"
  for cell in notebook.cells:
    cell.source = cell.source.replace("SIZE = 320", "SIZE = 96")
  nbclient.NotebookClient(
    notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
  ).execute()


def test_there_are_two_notebooks():
  assert len(NOTEBOOKS) == 2
  assert sum("SIZE = 320" in path.read_text() for path in NOTEBOOKS) == 1
