#!/usr/bin/env bash
# What people do first, from a checkout and with the Python of the active environment: stylize an
# image, train, resume training, export to both formats.
#
#   bash tools/smoke.sh FOLDER      writes into the folder, which is created if needed
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
mkdir -p "$folder"
# Compile without LLVM's optimizations, which take longer than what is run here.
export XLA_FLAGS=--xla_backend_optimization_level=0
images=(--content stylejax/assets/samples/content/cat.jpg
        --style stylejax/assets/samples/style/great_wave.jpg)

python infer.py "${images[@]}" --output "$folder/stylized.png"
python train.py transfer --preset tiny --size 64 --steps 10 --workdir "$folder/run"
python train.py transfer --preset tiny --size 64 --steps 20 --workdir "$folder/run" --resume
python train.py export --workdir "$folder/run" --output "$folder/tiny.safetensors"
python infer.py "${images[@]}" --weights "$folder/tiny.safetensors" --output "$folder/tiny.png"
python infer.py export --weights "$folder/tiny.safetensors" --output "$folder/tiny.zip"
python infer.py export --weights "$folder/tiny.safetensors" --output "$folder/tiny.onnx"
python - "$folder" <<'PY'
import json
import sys
from pathlib import Path

from PIL import Image

folder = Path(sys.argv[1])
expected = Image.open("stylejax/assets/samples/content/cat.jpg").size
for name in ("stylized.png", "tiny.png"):
  size = Image.open(folder / name).size
  assert size == expected, f"{name}: found {size}, expected {expected}"
steps = [json.loads(line)["step"] for line in (folder / "run/metrics.jsonl").open()]
assert steps[-1] == 20 and steps == sorted(set(steps)), f"metrics.jsonl: found steps {steps}"
PY
# Makes a video of three frames, and a GIF of that video.
python - "$folder" <<'PY'
import sys
from pathlib import Path

from PIL import Image

folder = Path(sys.argv[1]) / "frames"
folder.mkdir(exist_ok=True)
image = Image.open("stylejax/assets/samples/content/cat.jpg").resize((96, 64))
for number in range(3):
  image.rotate(2 * number).save(folder / f"{number}.png")
PY
sequence=(--sequence --style stylejax/assets/samples/style/great_wave.jpg
          --weights "$folder/tiny.safetensors")
python infer.py "${sequence[@]}" --content "$folder/frames" --output "$folder/tiny.mp4"
python infer.py "${sequence[@]}" --content "$folder/tiny.mp4" --output "$folder/tiny.gif"
