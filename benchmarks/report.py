"""Draws the tables and plots of README, docs/benchmarks.md and the model card from docs/results.

    python -m benchmarks report

A table stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`, and is never typed.
"""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks import timing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
PAGES = ("README.md", "docs/benchmarks.md", "docs/pod.md", "stylejax/assets/MODEL_CARD.md")

QUALITY_COLUMNS = {
  "content": "content: LPIPS-form VGG ↓", "ssim": "content: SSIM ↑",
  "style": "style: VGG moments ↓", "style_ratio": "style ÷ identity copy's ↓",
  "color": "colours: sliced W1 ↓"}
# Key of a row, heading, and how a value is written.
TIMED_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
  "images_per_second": ("images/s", "{:.3g}".format),
  "share_of_matrix_product": ("of the matrix-product rate", "{:.2f}".format),
  "gflop": ("GFLOP", "{:.3g}".format),
  "peak_mib": ("memory, MiB", "{:.0f}".format),
  "compile_seconds": ("compilation, s", "{:.1f}".format),
  "ratio": ("ratio", "{:.2f}".format),
  "images_per_second_per_core": ("images/s per core", "{:.3g}".format),
  "cores_per_chip": ("cores for one chip", lambda cores: ", ".join(
    f"{chip} {count:.1f}" for chip, count in cores.items())),
}
RATIOS = {"peers": "our time ÷ theirs", "scaling": "images/s ÷ one device's",
          "input": "pipeline ÷ what a step takes in", "compile": "÷ importing jax and flax",
          "checkpointing": "÷ without checkpoints", "choices": "ours ÷ plain"}


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


def timed_table(result: dict) -> str:
  """One line for each row of a timed benchmark, with the columns that any row has."""
  rows = [row for row in result["rows"] if "skipped" not in row]
  columns = {key: how for key, how in TIMED_COLUMNS.items()
             if any(row.get(key) is not None for row in rows)}
  heads = [RATIOS.get(result["benchmark"], name) if key == "ratio" else name
           for key, (name, _) in columns.items()]
  timed = any("seconds" in row for row in rows)
  head = ["case", *(["ms, median [quartiles]"] if timed else []), *heads]
  lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
  for row in rows:
    cells = [timing.label(row)]
    if timed:
      low, median, high = (1e3 * row["seconds"][key] for key in ("low", "median", "high"))
      cells.append(f"{median:.3g} [{low:.3g}, {high:.3g}]")
    cells += ["" if row.get(key) is None else write(row[key])
              for key, (_, write) in columns.items()]
    lines.append("| " + " | ".join(cells) + " |")
  for row in result["rows"]:
    if "skipped" in row:
      lines.append(f"\n{timing.label(row)} was skipped: {row['skipped']}.")
  return "\n".join([*lines, "", _source(result)])


def speed_table(result: dict) -> str:
  """Tasks by ways to do them: milliseconds, from the results of `peers`."""
  tasks, ways = {}, []
  for row in result["rows"]:
    task, _, who = row["case"].partition(": ")
    batch = f"{row['batch']} × " if row.get("batch") else ""
    tasks.setdefault(f"{task}, {batch}{row['size']} px", {})[who] = row["seconds"]["median"]
    ways += [who] if who not in ways else []
  lines = ["| milliseconds | " + " | ".join(ways) + " |", "|---" * (1 + len(ways)) + "|"]
  for task, times in tasks.items():
    cells = [f"{1e3 * times[who]:.0f}" if who in times else "" for who in ways]
    lines.append(f"| {task} | " + " | ".join(cells) + " |")
  return "\n".join([*lines, "", _source(result)])


def pod_table(result: dict) -> str:
  """One line for each slice that a step was compiled for."""
  lines = ["| slice | chips | batch | TFLOP a chip | HBM traffic, GB a chip | memory a chip, MiB "
           "(of it) | all-reduced, MB | roofline step, ms: compute, HBM; communication | "
           "communication | images/s |", "|---" * 10 + "|"]
  for row in result["rows"]:
    bound = {key.removesuffix("_seconds"): 1e3 * value for key, value in row["roofline"].items()}
    reduced = sum(found["bytes"] for found in row["collectives"]) / 1e6
    cells = [
      row["topology"], row["chips"], row["batch"], f"{row['gflop_per_chip'] / 1e3:.2f}",
      f"{row['hbm_gb_per_chip']:.2f}",
      f"{row['memory_mib']['peak']:,.0f} ({row['memory_share']:.0%})", f"{reduced:.0f}",
      f"{bound['step']:.2f}: {bound['compute']:.2f}, {bound['memory']:.2f}; "
      f"{bound['communication']:.2f}", f"{row['communication_share']:.0%}",
      f"{row['images_per_second']:,.0f}"]
    lines.append("| " + " | ".join(map(str, cells)) + " |")
  return "\n".join([*lines, "", _compiled(result)])


def pod_scaling_table(result: dict) -> str:
  """One line for each slice, weak and strong scaling side by side."""
  lines = ["| slice | chips | weak: batch | images/s | efficiency | communication | "
           "strong: batch | images/s | efficiency | communication |", "|---" * 10 + "|"]
  weak, strong = ([row for row in result["rows"] if row["scaling"] == kind]
                  for kind in ("weak", "strong"))
  for pair in zip(weak, strong, strict=True):
    cells = [f"{row['batch']} | {row['images_per_second']:,.0f} | {row['efficiency']:.2f} | "
             f"{row['communication_share']:.0%}" for row in pair]
    lines.append(f"| {pair[0]['topology']} | {pair[0]['chips']} | {' | '.join(cells)} |")
  return "\n".join([*lines, "", _compiled(result)])


def _compiled(result: dict) -> str:
  row, versions = result["rows"][0], result["versions"]
  return (f"**Computed by the compiler and a roofline, not measured**: {row['case']} of preset "
          f"`{row['preset']}` in {row['dtype']} at {row['size']} px. `{result['command']}`, jax "
          f"{versions['jax']}, libtpu {versions['libtpu']}, {result['date'][:10]}.")


def _source(result: dict) -> str:
  machine, versions = result["machine"], result["versions"]
  limit = result.get("limits", {}).get("matrix_product_gflop_per_second")
  beside = f", beside a matrix product at {limit:.0f} GFLOP/s" if limit else ""
  others = "".join(f", {name} {versions[name]}" for name in ("torch", "onnxruntime")
                   if name in versions and result["benchmark"] == "peers")
  return (f"`{result['command']}` on {machine['processor']}, {machine['cpus']} cores, "
          f"jax {versions['jax']}{others}, Python {machine['python']}, {result['date'][:10]}"
          f"{beside}.")


def plot_peers(axes, result: dict) -> None:
  """Milliseconds of each way to stylize over the side of the picture."""
  methods = {}
  for row in result["rows"]:
    task, _, who = row["case"].partition(": ")
    if task == "stylize":
      methods.setdefault(who, []).append((row["size"], row["seconds"]))
  for who, points in methods.items():
    sides = [size for size, _ in points]
    axes.plot(sides, [1e3 * s["median"] for _, s in points], marker="o", label=who,
              linewidth=3 if who == "stylejax" else 1.5)
    axes.fill_between(sides, [1e3 * s["low"] for _, s in points],
                      [1e3 * s["high"] for _, s in points], alpha=0.15)
  axes.set(xscale="log", yscale="log", xlabel="side of the picture, pixels",
           ylabel="milliseconds per picture", title="Stylizing one picture")
  axes.set_xticks(sides, [str(side) for side in sides])


def plot_scaling(axes, result: dict) -> None:
  """Images/s over chips, weak and strong, beside what perfect scaling would give."""
  for kind, about in (("weak", "batch_per_chip"), ("strong", "batch")):
    rows = [row for row in result["rows"] if row["scaling"] == kind]
    counts, rates = ([row[key] for row in rows] for key in ("chips", "images_per_second"))
    line, = axes.plot(counts, rates, marker="o", label=f"{kind}: {rows[0][about]} pictures "
                      + ("a chip" if kind == "weak" else "in all"))
    axes.plot(counts, [rates[0] * count / counts[0] for count in counts], linestyle=":",
              color=line.get_color())
  axes.set(xscale="log", yscale="log", xlabel="chips", ylabel="images per second",
           title="Computed by the compiler and a roofline, not measured")
  axes.set_xticks(counts, [str(count) for count in counts])


PLOTS = {"peers": plot_peers, "pod_scaling": plot_scaling}


def draw(name: str, result: dict, folder: Path) -> None:
  """Draws the plot of a result into the folder, over two logarithmic axes."""
  import matplotlib
  matplotlib.use("Agg")
  from matplotlib import pyplot
  figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
  PLOTS[name](axes, result)
  axes.minorticks_off()
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8)
  figure.savefig(folder / f"{name}.png", dpi=110)
  pyplot.close(figure)


# How the result of a benchmark becomes a table, where timed_table doesn't serve.
TABLES = {"quality": quality_table, "pod": pod_table, "pod_scaling": pod_scaling_table}


@dataclasses.dataclass(frozen=True)
class Options:
  """None: results and pages are where they are."""


def main(options: Options) -> None:
  """Rewrites each table, and draws each plot, whose result file exists."""
  del options
  results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
  tables = {name: TABLES.get(result.get("benchmark", name), timed_table)(result)
            for name, result in results.items()}
  if "peers" in results:
    tables["speed"] = speed_table(results["peers"])
  for page in PAGES:
    path = ROOT / page
    text = path.read_text()
    for name, table in tables.items():
      text = re.sub(f"<!-- {name} -->.*?<!-- /{name} -->",
                    lambda _, name=name, table=table: f"<!-- {name} -->\n{table}\n<!-- /{name} -->",
                    text, flags=re.S)
    path.write_text(text)
  for name in PLOTS.keys() & results.keys():
    draw(name, results[name], ROOT / "docs")


if __name__ == "__main__":
  timing.command(main, Options, __doc__)
