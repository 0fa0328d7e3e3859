"""The table of file formats, the document that is written from it, and what reads it."""

import importlib.util
from pathlib import Path

import pytest

from stylejax.images import formats
from stylejax.images.opening import _CODECS

ROOT = Path(__file__).resolve().parents[2]


def test_the_document_says_what_the_table_says():
  spec = importlib.util.spec_from_file_location("write_formats", ROOT / "tools/write_formats.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  assert module.DOCUMENT.read_text() == module.document(), (
    "docs/formats.md is not what the table gives: run python tools/write_formats.py"
  )
  for row in formats.FORMATS:
    for suffix in row.suffixes:
      assert suffix in module.document()


@pytest.mark.parametrize("kind", ["image", "animation", "video"])
def test_an_extension_has_one_row_of_a_kind(kind):
  suffixes = [suffix for row in formats.FORMATS if row.kind == kind for suffix in row.suffixes]
  assert len(suffixes) == len(set(suffixes))
  assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def test_decoders_that_run_other_programs_are_not_named():
  # Pillow's EPS plugin runs Ghostscript; others hand a file to whatever stub is registered.
  assert not {"EPS", "WMF", "HDF5", "GRIB", "BUFR", "FPX", "MIC", "PSD"} & set(_CODECS)


def test_names_are_a_sentence():
  assert formats.names(formats.TRAINING_IMAGES) == "JPEG, PNG or WebP"
  assert formats.names(formats.TRAINING_IMAGES[:1]) == "JPEG"
  assert formats.written_as(".JPEG").name == "JPEG"
  assert formats.written_as(".gif") is None
