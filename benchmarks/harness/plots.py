"""The plots of README and docs, drawn by Matplotlib from the JSON of each benchmark."""

from pathlib import Path

from benchmarks.quality import curves


def plot_peers(axes, result: dict) -> None:
  """Milliseconds of each way to stylize, over the side of the image."""
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
  """Style distance over content distance, one panel per net: our curve, other methods' points."""
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
