"""Draws the losses of a run as a PNG.

    python tools/plot_metrics.py runs/transfer/metrics.jsonl docs/curve.png

Needs matplotlib (pip install '.[bench]').
"""

import json
import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

APART = ("step", "images_per_second", "grad_norm")


def main(source: Path, output: Path) -> None:
  """Draws a panel for each loss, from its first use on: all values, and a running mean of 20."""
  lines = [json.loads(line) for line in source.read_text().splitlines()]
  names = [
    name for name in dict.fromkeys(key for line in lines for key in line) if name not in APART
  ]
  columns = 3
  rows = -(-len(names) // columns)
  figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.6 * rows), squeeze=False)
  for axis in axes.flat[len(names) :]:
    axis.set_axis_off()
  for axis, name in zip(axes.flat, names):
    steps, values = np.array([(line["step"], line[name]) for line in lines if name in line]).T
    axis.plot(steps, values, color="0.8", linewidth=0.8)
    window = min(20, len(values))
    axis.plot(steps[window - 1 :], np.convolve(values, np.ones(window) / window, "valid"), "C0")
    axis.set_title(name)
    axis.set_xlabel("step")
    if values.min() > 0 and values.max() > 20 * values.min():
      axis.set_yscale("log")
  figure.tight_layout()
  figure.savefig(output, dpi=80)


if __name__ == "__main__":
  if len(sys.argv) != 3:
    sys.exit("usage: python tools/plot_metrics.py METRICS.jsonl OUTPUT.png")
  main(Path(sys.argv[1]), Path(sys.argv[2]))
