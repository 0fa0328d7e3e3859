#!/usr/bin/env bash
# Is stylejax correct on this machine's accelerator, and how fast? Takes twelve minutes at most.
#
#   bash tools/device_check.sh [--short] [--output FILE]    in a checkout
#
# For a Linux machine with one NVIDIA GPU, which needs no network: wheels in a folder `wheels`
# beside this script are first installed into an environment of their own. To fill it:
#   pip download --dest tools/wheels '.[cuda,onnx]'
# Without that folder, the Python of the active environment is used as it is.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -d "$root/tools/wheels" ]; then
  environment=$(mktemp -d)
  trap 'rm -rf "$environment"' EXIT
  python3 -m venv "$environment"
  . "$environment/bin/activate"
  PIP_COMPILE=0 pip install --quiet --no-index --no-deps "$root"/tools/wheels/*.whl
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
cd "$root"
limit=720
# With --short, a CPU gets more time.
case " $* " in *" --short "*) limit=3600 ;; esac
timeout --kill-after=10 "$limit" python -m benchmarks device_check "$@"
