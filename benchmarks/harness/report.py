"""Draws the tables and plots of README, docs/benchmarks.md and the model card from docs/results.

    python -m benchmarks report

A table stands between the lines `<!-- NAME -->` and `<!-- /NAME -->`, and is never typed.
"""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import command_line, records
from benchmarks.quality import curves
from stylejax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
PAGES = (
  "README.md",
  "docs/benchmarks.md",
  "docs/pod.md",
  "docs/quality.md",
  "stylejax/assets/MODEL_CARD.md",
)

QUALITY_COLUMNS = {
  "content": "content: LPIPS-form VGG ↓",
  "content_lite0": "content: EffNet-lite0 ↓",
  "ssim": "content: SSIM ↑",
  "style": "style: VGG moments ↓",
  "style_lite0": "style: EffNet-lite0 moments ↓",
  "style_ratio": "style ÷ identity copy's ↓",
  "patch_way": "patches: of the way to the style ↑",
  "cover_way": "cover: of the way ↑",
  "patch_half_way": "patches at half size ↑",
  "cover_half_way": "cover at half size ↑",
  "color": "colors: sliced W1 ↓",
  "kid": "kernel distance of crops ↓",
}
SHORT_COLUMNS = ("content", "content_lite0", "style", "style_lite0", "color")
# Key of a row, heading, and how a value is written.
TIMED_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
  "images_per_second": ("images/s", records.digits),
  "share_of_matrix_product": ("of the matrix-product rate", "{:.2f}".format),
  "gflop": ("GFLOP", records.digits),
  "peak_mib": ("memory, MiB", "{:.0f}".format),
  "compile_seconds": ("compilation, s", "{:.1f}".format),
  "ratio": ("ratio", "{:.2f}".format),
  "images_per_second_per_core": ("images/s per core", records.digits),
  "cores_per_chip": (
    "cores for one chip",
    lambda cores: ", ".join(f"{chip} {count:.1f}" for chip, count in cores.items()),
  ),
}
RATIOS = {
  "peers": "our time ÷ theirs",
  "scaling": "images/s ÷ one device's",
  "input": "pipeline ÷ what a step takes in",
  "compile": "÷ importing jax and flax",
  "checkpointing": "÷ without checkpoints",
  "choices": "ours ÷ plain",
}


def quality_table(result: dict, *, short: bool = False) -> str:
  """Mean and 95 % bootstrap interval of each method and column, and images with artifacts.

  The short one has few columns and, of ours, strength 1 alone.
  """
  rows = {
    name: row
    for name, row in result["rows"].items()
    if not short or row.get("strength") in (None, 1)
  }
  columns = {
    key: heading
    for key, heading in QUALITY_COLUMNS.items()
    if all(key in row["summary"] for row in rows.values()) and (not short or key in SHORT_COLUMNS)
  }
  artifacts = list(next(iter(rows.values())).get("artifacts", ()))
  heads = [*columns.values(), *([f"with a {', '.join(artifacts)}"] if artifacts else [])]
  lines = ["| method | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
  for name, row in rows.items():
    cells = [
      f"{cell['mean']:.3f} [{cell['low']:.2f}, {cell['high']:.2f}]"
      for cell in map(row["summary"].get, columns)
    ]
    cells += (
      [", ".join(str(row["artifacts"][artifact]) for artifact in artifacts)] if artifacts else []
    )
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
  machine, versions = result["machine"], result["versions"]
  lines += [
    "",
    f"{len(result['pairs'])} pairs that training never saw. {result['note']} "
    f"`{' '.join(result['command'])}` on {machine['processor']}, {machine['cpus']} cores, "
    f"jax {versions['jax']}, {result['date'][:10]}.",
  ]
  return "\n".join(lines)


def goals_table(result: dict) -> str:
  """What the shipped weights are held to, and our curve at other methods' content."""
  lines = ["| goal | found | holds |", "|---|---|---|"]
  lines += [
    f"| {goal['goal']} | {goal['found']} | {'yes' if goal['holds'] else '**no**'} |"
    for goal in result["goals"]
  ]
  lines += [
    "",
    "| at the content of | by | content | their style | our style | ours ÷ theirs |",
    "|---|---|---|---|---|---|",
  ]
  for other, backbones in result["at_their_content"].items():
    for backbone, numbers in backbones.items():
      ratio = numbers["ratio"]
      ours = (
        f"{numbers['ours']:.3f} | {ratio['mean']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
        if ratio
        else " | not reached"
      )
      lines.append(
        f"| {other} | {backbone} | {numbers['content']:.3f} | {numbers['theirs']:.3f} | {ours} |"
      )
  return "\n".join(lines)


def timed_table(result: dict) -> str:
  """One line for each row of a timed benchmark, with the columns that any row has."""
  rows = [row for row in result["rows"] if "skipped" not in row]
  columns = {
    key: how for key, how in TIMED_COLUMNS.items() if any(row.get(key) is not None for row in rows)
  }
  heads = [
    RATIOS.get(result["benchmark"], name) if key == "ratio" else name
    for key, (name, _) in columns.items()
  ]
  timed = any("seconds" in row for row in rows)
  head = ["case", *(["ms, median [quartiles]"] if timed else []), *heads]
  lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
  for row in rows:
    cells = [records.label(row)]
    if timed:
      low, median, high = (1e3 * row["seconds"][key] for key in ("low", "median", "high"))
      cells.append("{} [{}, {}]".format(*map(records.digits, (median, low, high))))
    cells += [
      "" if row.get(key) is None else write(row[key]) for key, (_, write) in columns.items()
    ]
    lines.append("| " + " | ".join(cells) + " |")
  for row in result["rows"]:
    if "skipped" in row:
      lines.append(f"\n{records.label(row)} was skipped: {row['skipped']}.")
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
  lines = [
    "| slice | chips | batch | TFLOP a chip | HBM traffic, GB a chip | memory a chip, MiB "
    "(of it) | all-reduced, MB | roofline step, ms: compute, HBM; communication | "
    "communication | images/s |",
    "|---" * 10 + "|",
  ]
  for row in result["rows"]:
    bound = {key.removesuffix("_seconds"): 1e3 * value for key, value in row["roofline"].items()}
    reduced = sum(collective["bytes"] for collective in row["collectives"]) / 1e6
    cells = [
      row["topology"],
      row["chips"],
      row["batch"],
      f"{row['gflop_per_chip'] / 1e3:.2f}",
      f"{row['hbm_gb_per_chip']:.2f}",
      f"{row['memory_mib']['peak']:,.0f} ({row['memory_share']:.0%})",
      f"{reduced:.0f}",
      f"{bound['step']:.2f}: {bound['compute']:.2f}, {bound['memory']:.2f}; "
      f"{bound['communication']:.2f}",
      f"{row['communication_share']:.0%}",
      f"{row['images_per_second']:,.0f}",
    ]
    lines.append("| " + " | ".join(map(str, cells)) + " |")
  return "\n".join([*lines, "", _compiled(result)])


def pod_scaling_table(result: dict) -> str:
  """One line for each slice, weak and strong scaling side by side."""
  lines = [
    "| slice | chips | weak: batch | images/s | efficiency | communication | "
    "strong: batch | images/s | efficiency | communication |",
    "|---" * 10 + "|",
  ]
  weak, strong = (
    [row for row in result["rows"] if row["scaling"] == kind] for kind in ("weak", "strong")
  )
  for pair in zip(weak, strong, strict=True):
    cells = [
      f"{row['batch']} | {row['images_per_second']:,.0f} | {row['efficiency']:.2f} | "
      f"{row['communication_share']:.0%}"
      for row in pair
    ]
    lines.append(f"| {pair[0]['topology']} | {pair[0]['chips']} | {' | '.join(cells)} |")
  return "\n".join([*lines, "", _compiled(result)])


def large_table(result: dict) -> str:
  """Sentences: what a huge image and a folder of many sizes cost."""
  row, folder = result["rows"][0], result["folder"]
  return (
    f"{row['width']:,} × {row['height']:,} pixels, file to file: {row['seconds']:.0f} s, "
    f"{row['peak_gib']:.1f} GiB at most, {row['seconds_per_megapixel']:.2f} s a megapixel; "
    f"images of 1,024 × 1,024: {row['file_seconds_per_megapixel']:.2f} s a megapixel file to file, "
    f"{row['whole_seconds_per_megapixel']:.2f} s in memory; compiled before. {result['options']['images']} photos "
    f"of {folder['different_sizes']} sizes: "
    f"{folder['many_compilations']} compilations, {folder['filling']:.0%} filling, "
    f"{folder['share_of_steady']:.2f} of the images/s of a single size.\n\n{_source(result)}"
  )


def _compiled(result: dict) -> str:
  row, versions = result["rows"][0], result["versions"]
  return (
    f"**Computed by the compiler and a roofline, not measured**: {row['case']} of preset "
    f"`{row['preset']}` in {row['dtype']} at {row['size']} px. `{result['command']}`, jax "
    f"{versions['jax']}, libtpu {versions['libtpu']}, {result['date'][:10]}."
  )


def _source(result: dict) -> str:
  machine, versions = result["machine"], result["versions"]
  limit = result.get("limits", {}).get("matrix_product_gflop_per_second")
  beside = f", beside a matrix product at {limit:.0f} GFLOP/s" if limit else ""
  others = "".join(
    f", {name} {versions[name]}"
    for name in ("torch", "onnxruntime")
    if name in versions and result["benchmark"] == "peers"
  )
  return (
    f"`{result['command']}` on {machine['processor']}, {machine['cpus']} cores, "
    f"jax {versions['jax']}{others}, Python {machine['python']}, {result['date'][:10]}"
    f"{beside}."
  )


def plot_peers(axes, result: dict) -> None:
  """Milliseconds of each way to stylize over the side of the image."""
  methods = {}
  for row in result["rows"]:
    task, _, who = row["case"].partition(": ")
    if task == "stylize":
      methods.setdefault(who, []).append((row["size"], row["seconds"]))
  for who, points in methods.items():
    sides = [size for size, _ in points]
    axes.plot(
      sides,
      [1e3 * s["median"] for _, s in points],
      marker="o",
      label=who,
      linewidth=3 if who == "stylejax" else 1.5,
    )
    axes.fill_between(
      sides, [1e3 * s["low"] for _, s in points], [1e3 * s["high"] for _, s in points], alpha=0.15
    )
  axes.set(
    xscale="log",
    yscale="log",
    xlabel="side of the image, pixels",
    ylabel="milliseconds per image",
    title="Stylizing one image",
  )
  axes.set_xticks(sides, [str(side) for side in sides])


def plot_scaling(axes, result: dict) -> None:
  """Images/s over chips, weak and strong, beside what perfect scaling would give."""
  for kind, about in (("weak", "batch_per_chip"), ("strong", "batch")):
    rows = [row for row in result["rows"] if row["scaling"] == kind]
    counts, rates = ([row[key] for row in rows] for key in ("chips", "images_per_second"))
    (line,) = axes.plot(
      counts,
      rates,
      marker="o",
      label=f"{kind}: {rows[0][about]} images " + ("a chip" if kind == "weak" else "in all"),
    )
    axes.plot(
      counts,
      [rates[0] * count / counts[0] for count in counts],
      linestyle=":",
      color=line.get_color(),
    )
  axes.set(
    xscale="log",
    yscale="log",
    xlabel="chips",
    ylabel="images per second",
    title="Computed by the compiler and a roofline, not measured",
  )
  axes.set_xticks(counts, [str(count) for count in counts])


def plot_quality(panels, result: dict) -> None:
  """Style reached over content moved, one panel a net: our curve, the other methods' points."""
  rows = result["rows"]
  ours = sorted(
    (row for row in rows if rows[row].get("strength") is not None),
    key=lambda row: rows[row]["strength"],
  )
  for axes, (backbone, columns) in zip(panels, curves.BACKBONES.items(), strict=True):
    axes.set(
      xlabel="content distance: to the left more is kept",
      title=backbone,
      ylabel="style distance: further down more is reached",
    )
    if columns[0] not in next(iter(rows.values()))["summary"]:
      axes.set(title=f"{backbone}: not measured")
      continue
    points = {
      row: [values["summary"][column] for column in columns] for row, values in rows.items()
    }
    if ours:
      x, y = ([points[row][axis]["mean"] for row in ours] for axis in range(2))
      axes.plot(x, y, marker="o", linewidth=2.5, label="stylejax over strength")
      for row, *at in zip(ours, x, y):
        axes.annotate(
          f"{rows[row]['strength']:g}", at, xytext=(5, 5), textcoords="offset points", fontsize=7
        )
    for row in (row for row in rows if row not in ours):
      (x, x_low, x_high), (y, y_low, y_high) = (
        (at["mean"], at["mean"] - at["low"], at["high"] - at["mean"]) for at in points[row]
      )
      axes.errorbar(
        x,
        y,
        xerr=[[x_low], [x_high]],
        yerr=[[y_low], [y_high]],
        marker="s",
        capsize=2,
        linestyle="none",
        label=row,
      )


PLOTS = {"peers": plot_peers, "pod_scaling": plot_scaling, "quality": plot_quality}
PANELS = {"quality": 2}


def draw(name: str, result: dict, folder: Path) -> None:
  """Draws the plot of a result into the folder, one panel or several side by side."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot

  count = PANELS.get(name, 1)
  figure, panels = pyplot.subplots(
    1, count, figsize=(7 if count == 1 else 5.5 * count, 4), layout="constrained", squeeze=False
  )
  PLOTS[name](panels[0, 0] if count == 1 else panels[0], result)
  for axes in panels[0]:
    axes.minorticks_off()
    axes.grid(alpha=0.3)
  panels[0, -1].legend(fontsize=8)
  figure.savefig(folder / f"{name}.png", dpi=110)
  pyplot.close(figure)


# How the result of a benchmark becomes a table, where timed_table doesn't serve.
TABLES = {
  "quality": quality_table,
  "pod": pod_table,
  "pod_scaling": pod_scaling_table,
  "large": large_table,
}


def _read(path: Path) -> dict:
  """A result; InputError, which names the file, if it is none, or that of another benchmark."""
  try:
    result = json.loads(path.read_text())
    name = result.setdefault("benchmark", path.stem)
  except (ValueError, AttributeError):
    raise InputError(f"{path}: found no result, expected a benchmark's JSON") from None
  if not path.stem.startswith(name):
    raise InputError(f"{path}: found the result of {name}, expected that of {path.stem}")
  return result


@dataclasses.dataclass(frozen=True)
class Options:
  """None: results and pages are where they are."""


def main(options: Options) -> None:
  """Rewrites each table, and draws each plot, whose result file exists."""
  del options
  results = {path.stem: _read(path) for path in sorted(RESULTS.glob("*.json"))}
  texts = {page: (ROOT / page).read_text() for page in PAGES}
  asked = {name for text in texts.values() for name in re.findall("<!-- ([a-z0-9_]+) -->", text)}
  tables = {
    name: TABLES.get(result["benchmark"], timed_table)(result)
    for name, result in results.items()
    if name in asked
  }
  if "peers" in results:
    tables["speed"] = speed_table(results["peers"])
  if "quality" in results:
    tables["quality_short"] = quality_table(results["quality"], short=True)
  if "goals" in results.get("quality", {}):
    tables["goals"] = goals_table(results["quality"])
  for page in PAGES:
    text = texts[page]
    for name, table in tables.items():
      text = re.sub(
        f"<!-- {name} -->.*?<!-- /{name} -->",
        lambda _, name=name, table=table: f"<!-- {name} -->\n{table}\n<!-- /{name} -->",
        text,
        flags=re.DOTALL,
      )
    (ROOT / page).write_text(text)
  for name in sorted(asked - tables.keys()):
    print(f"no result for the table {name}: it stays as it is")
  for name in PLOTS.keys() & results.keys():
    draw(name, results[name], ROOT / "docs")


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
