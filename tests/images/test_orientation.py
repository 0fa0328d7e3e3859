"""Which metadata rotates an image: EXIF, as in browsers, but not XMP, which Pillow reads too."""

import io

import numpy as np
import pytest
from PIL import Image

from stylejax.images.decode import decode_rgb, image_size, read_image
from stylejax.images.pages import read_pages

PIXELS = (np.mgrid[:24, :40].sum(0)[..., None] * np.array([4, 3, 2])).astype(np.uint8)
XMP = (
  b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax'
  b'-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
  b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def saved(form, *, exif=False, xmp=False):
  """Bytes of the image with an orientation of 6 in its EXIF or its XMP."""
  options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(form, {})
  if exif:
    options["exif"] = Image.Exif()
    options["exif"][274] = 6
  if xmp and form == "PNG":
    from PIL.PngImagePlugin import PngInfo

    options["pnginfo"] = PngInfo()
    options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
  elif xmp and form == "TIFF":
    options["tiffinfo"] = {700: XMP}
  elif xmp:
    options["xmp"] = XMP
  buffer = io.BytesIO()
  Image.fromarray(PIXELS).save(buffer, form, **options)
  return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_xmp_alone_turns_nothing(tmp_path, form):
  path = tmp_path / "a"
  path.write_bytes(saved(form, xmp=True))
  assert b'tiff:Orientation="6"' in path.read_bytes()
  assert image_size(path) == (40, 24)
  np.testing.assert_allclose(read_image(path).rgb * 255, PIXELS, atol=4)
  assert decode_rgb(path).shape == PIXELS.shape
  ((page, _),) = read_pages(path)
  assert page.rgb.shape == PIXELS.shape


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_turns_beside_xmp(tmp_path, form):
  path = tmp_path / "a"
  path.write_bytes(saved(form, exif=True, xmp=form != "TIFF"))
  assert image_size(path) == (24, 40)
  np.testing.assert_allclose(read_image(path).rgb * 255, np.rot90(PIXELS, -1), atol=4)
