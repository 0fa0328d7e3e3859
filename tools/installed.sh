#!/usr/bin/env bash
# What somebody does who only has the package: runs the installed command in an empty folder.
#
#   bash tools/installed.sh FOLDER      with the Python of the active environment
set -euo pipefail
mkdir -p "$1"
cd "$1"
python - <<'PY'
import shutil
from pathlib import Path

import stylejax

# An installed package contains what it needs, including its types.
package = Path(stylejax.__file__).parent
assert "site-packages" in package.parts, package
assert (package / "py.typed").exists() and (package / "__init__.pyi").exists()
samples = package / "assets" / "samples"
shutil.copy(samples / "content" / "cat.jpg", "photo.jpg")
shutil.copy(samples / "style" / "great_wave.jpg", "painting.jpg")
PY
stylejax --version
stylejax benchmark info >info.txt
stylejax paint photo.jpg painting.jpg
# Compile without LLVM's optimizations, which take longer than these steps.
XLA_FLAGS=--xla_backend_optimization_level=0 stylejax train transfer --preset tiny --size 64 --steps 5
stylejax train export --workdir runs/transfer --output mine.safetensors
stylejax export stylize.zip --weights mine.safetensors --platforms cpu
# A command that needs an extra says so in one line.
if stylejax export page.html 2>refused.txt; then exit 1; fi
grep -q "^error: export: found no onnx, expected it for pages: pip install 'onnx" refused.txt
python -c "import stylejax; help(stylejax.stylize); help(stylejax.Stylizer)" >help.txt
python - <<'PY'
from pathlib import Path

from PIL import Image

expected = Image.open("photo.jpg").size
assert Image.open("photo_painting.png").size == expected
assert Path("stylize.zip").stat().st_size > 10_000
assert "content" in Path("help.txt").read_text()
PY
