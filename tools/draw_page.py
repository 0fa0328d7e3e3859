"""Draws docs/images/page.jpg and page_dark_and_narrow.jpg: the page with a result, in Chromium.

npm install --prefix /tmp/node playwright-core@1.65.1
pip install '.[onnx]'
python tools/draw_page.py --node-folder /tmp/node
"""

import dataclasses
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import tyro
from PIL import Image

import stylejax
from stylejax.cli.web import server
from stylejax.deploy import page

IMAGES = Path(__file__).parent.parent / "docs" / "images"
HEIGHT, GAP = 675, 12  # pixels


@dataclasses.dataclass(frozen=True)
class Options:
  """What to draw with."""

  node_folder: Path
  """Folder in which npm has installed playwright-core."""
  chromium: str = "/usr/bin/chromium"
  """The browser."""


def main(options: Options) -> None:
  """Stylizes three times and writes both files."""
  bound = server(page.page_files(stylejax.load_pretrained()), 0)
  threading.Thread(target=bound.serve_forever, daemon=True).start()
  with tempfile.TemporaryDirectory(dir=options.node_folder.resolve()) as name:
    folder = Path(name)
    # Node looks modules up in the folders above the script.
    script = folder / "draw_page.mjs"
    shutil.copy(Path(__file__).with_suffix(".mjs"), script)
    coffee = Image.open(Path(stylejax.__file__).parent / "assets/samples/content/coffee.jpg")
    coffee.resize((1024, 683)).save(folder / "coffee.png")
    url = f"http://127.0.0.1:{bound.server_address[1]}/"
    given = [url, options.chromium, str(folder / "coffee.png"), name]
    subprocess.run(["node", str(script), *given], check=True)
    wide, dark, narrow = (
      Image.open(folder / f"{view}.png").convert("RGB") for view in ("wide", "dark", "narrow")
    )
  bound.shutdown()
  wide.save(IMAGES / "page.jpg", quality=88)
  dark, narrow = (
    image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)
    for image in (dark, narrow)
  )
  both = Image.new("RGB", (dark.width + GAP + narrow.width, HEIGHT), "white")
  both.paste(dark, (0, 0))
  both.paste(narrow, (dark.width + GAP, 0))
  both.save(IMAGES / "page_dark_and_narrow.jpg", quality=88)


if __name__ == "__main__":
  main(tyro.cli(Options))
