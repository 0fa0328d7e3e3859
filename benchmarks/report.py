"""Draws the tables of README and the model card from the JSON files of docs/results.

    python -m benchmarks.report

A table stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`, and is never typed.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
PAGES = ("README.md", "stylejax/assets/MODEL_CARD.md")

QUALITY_COLUMNS = {
  "content": "content: LPIPS-form VGG ↓", "ssim": "content: SSIM ↑",
  "style": "style: VGG moments ↓", "style_ratio": "style ÷ identity copy's ↓",
  "color": "colours: sliced W1 ↓"}


def quality_table(result: dict) -> str:
  """Mean and 95 % bootstrap interval of each method and column."""
  lines = ["| method | " + " | ".join(QUALITY_COLUMNS.values()) + " |",
           "|---|" + "---|" * len(QUALITY_COLUMNS)]
  for name, row in result["rows"].items():
    cells = []
    for column in QUALITY_COLUMNS:
      cell = row["summary"][column]
      cells.append(f"{cell['mean']:.3f} [{cell['low']:.2f}, {cell['high']:.2f}]")
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
  machine, versions = result["machine"], result["versions"]
  lines += ["", f"{len(result['pairs'])} pairs that training never saw. {result['note']} "
            f"`{' '.join(result['command'])}` on {machine['processor']}, {machine['cpus']} cores, "
            f"jax {versions['jax']}, {result['date'][:10]}."]
  return "\n".join(lines)


def train_table(result: dict) -> str:
  """One row: rate of the train step, and its share of the machine's limit."""
  case = result["case"]
  return "\n".join([
    "| step | batch, size | images/s | GFLOP/s | of the matrix-product rate | peak memory |",
    "|---|---|---|---|---|---|",
    f"| {case['command']}, {case['preset']} | {case['batch']} × {case['size']} px "
    f"| {result['images_per_second']:.2f} | {result['gflop_per_second']:.0f} "
    f"| {result['share_of_matrix_product_rate']:.2f} "
    f"of {result['matrix_product_gflop_per_second']:.0f} GFLOP/s "
    f"| {result['peak_resident_mib'] / 1024:.1f} GiB |", "",
    f"`{result['command']}` on {len(result['machine']['devices'])} × "
    f"{result['machine']['devices'][0]}, jax {result['machine']['jax']}, "
    f"Python {result['machine']['python']}; median of {case['repeats']} steps."])


def main() -> None:
  """Rewrites each table whose result file exists."""
  tables = {"quality": quality_table, "train": train_table}
  for page in PAGES:
    path = ROOT / page
    text = path.read_text()
    for name, draw in tables.items():
      source = RESULTS / f"{name}.json"
      if source.exists():
        table = draw(json.loads(source.read_text()))
        text = re.sub(f"<!-- {name} -->.*?<!-- /{name} -->",
                      lambda _: f"<!-- {name} -->\n{table}\n<!-- /{name} -->", text, flags=re.S)
    path.write_text(text)


if __name__ == "__main__":
  main()
