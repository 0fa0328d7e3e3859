"""The tables of README and docs, as Markdown, from the JSON of each benchmark."""

from collections.abc import Callable

from benchmarks.harness import records
from benchmarks.harness.pod_tables import POD_TABLES

# {column of benchmarks/quality/evaluators.py: its heading, in the docs and when printed}
QUALITY_COLUMNS = {
  "content": "content: LPIPS-form VGG ↓",
  "content_lite0": "content: EffNet-lite0 ↓",
  "ssim": "content: SSIM ↑",
  "style": "style: VGG moments ↓",
  "style_lite0": "style: EffNet-lite0 moments ↓",
  "style_lite0_half": "style: EffNet-lite0 moments at half size ↓",
  "style_resnet": "style: ResNet moments ↓",
  "style_ratio": "style ÷ identity copy's ↓",
  "patch_way": "patches: of the way to the style ↑",
  "cover_way": "cover: of the way ↑",
  "patch_half_way": "patches at half size ↑",
  "cover_half_way": "cover at half size ↑",
  "patch_half_resnet_way": "patches at half size, ResNet ↑",
  "cover_half_resnet_way": "cover at half size, ResNet ↑",
  "color": "colors: sliced W1 ↓",
  "chroma_ratio": "fine chroma ÷ the style's ↓",
  "plain_chroma": "chroma variance × 10⁴ where the photo is plain ↓",
  "kid": "kernel distance of crops ↓",
}
SHORT_COLUMNS = ("content", "content_lite0", "style", "style_lite0", "color")
TRANSPORT_COLUMNS = ("content_lite0", "style_lite0", "patch_half_way", "cover_half_way", "color")
# {key of a row: (heading, how a value is written)}
TIMED_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
  "count": ("times", str),
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
  "steps": "÷ VGG16 and its gradient",
  "layers": "of the whole, as often as it comes",
  "shapes": "÷ the preset",
  "jax_versions": "÷ the first version's best",
}


def quality_table(result: dict, *, short: bool = False) -> str:
  """Mean and 95 % bootstrap interval of each method and column, and images with artifacts.

  A short table has few columns, and of our rows only strength 1.
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
  """The goals of the shipped weights, and our curve at other methods' content."""
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
  """Milliseconds of each task and way to do it, from the results of `peers`."""
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


def processes_table(result: dict) -> str:
  """One line for each kind of process: processor seconds, wall-clock seconds, and the ratio."""
  rows = result["rows"]
  timed = any("images_per_second" in row for row in rows)
  compared = any("ratio" in row for row in rows)
  head = ["case", "processor s, median [quartiles]", "clock s"]
  head += [*(["images/s"] if timed else []), *(["÷ before"] if compared else [])]
  lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
  for row in rows:
    low, median, high = (row["seconds"][key] for key in ("low", "median", "high"))
    cells = [row["case"], f"{median:.2f} [{low:.2f}, {high:.2f}]"]
    cells.append(f"{row['wall_seconds']['median']:.2f}")
    if timed:
      cells.append(records.digits(row["images_per_second"]))
    if compared:
      cells.append(f"{row['ratio']:.2f}" if "ratio" in row else "")
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join([*lines, "", _source(result)])


def ranking_table(result: dict) -> str:
  """How often each method was ranked before each other by eye, and how far the columns agree."""
  counts = {(row["method"], row["before"]): row["pairs"] for row in result["preferences"]}
  orders = list(result["rankings"].values())
  places = {m: sum(order.index(m) + 1 for order in orders) / len(orders) for m in orders[0]}
  methods = sorted(places, key=lambda method: places[method])
  lines = [
    "| ranked before → | " + " | ".join(methods) + " | mean place |",
    "|---" * (len(methods) + 2) + "|",
  ]
  for method in methods:
    cells = [str(counts.get((method, other), "")) for other in methods]
    lines.append(f"| {method} | " + " | ".join(cells) + f" | {places[method]:.2f} |")
  lines += ["", "| column | agrees with the eye |", "|---|---|"]
  for column, share in sorted(result["agreement"].items(), key=lambda item: -item[1]["mean"]):
    heading = QUALITY_COLUMNS.get(column, QUALITY_COLUMNS.get(f"{column}_way", column))
    name = heading.split(":" if column.startswith(("patch", "cover")) else "↓")[0].rstrip(" ↓↑")
    lines.append(f"| {name} | {share['mean']:.2f} [{share['low']:.2f}, {share['high']:.2f}] |")
  return "\n".join([*lines, "", f"{len(orders)} pairs. {_source(result)}"])


def large_table(result: dict) -> str:
  """What a huge image and a folder of many sizes cost, in sentences."""
  row, folder = result["rows"][0], result["folder"]
  return (
    f"{row['width']:,} × {row['height']:,} pixels, file to file: {row['seconds']:.0f} s, "
    f"{row['peak_gib']:.1f} GiB at most, {row['seconds_per_megapixel']:.2f} s a megapixel; "
    f"images of 1,024 × 1,024: {row['file_seconds_per_megapixel']:.2f} s a megapixel file to file, "
    f"{row['whole_seconds_per_megapixel']:.2f} s in memory; compiled before. "
    f"{result['options']['images']} photos "
    f"of {folder['different_sizes']} sizes: "
    f"{folder['many_compilations']} compilations, {folder['filling']:.0%} filling, "
    f"{folder['share_of_steady']:.2f} of the images/s of a single size.\n\n{_source(result)}"
  )


def flicker_table(result: dict) -> str:
  """Figures of each film and way to stylize it, in brackets divided by those of frame by frame."""
  lines = [
    "| film | | flicker | warping error | style distance | processor ms |",
    "|---|---|---|---|---|---|",
  ]
  base: dict = {}
  for row in result["flicker"]:
    base = row if row["way"] == "frame by frame" else base
    # Where less than a hundredth stands still, it does so by chance.
    keys = (("flicker", row["still"]), ("warping_error", 1), ("style_distance", 1))
    cells = [
      f"{row[key]:.4f} ({row[key] / base[key]:.2f})" if share >= 0.01 else "–"
      for key, share in keys
    ]
    cells.append(f"{1e3 * row['seconds']:.0f}")
    lines.append(f"| {row['film']} | {row['way']} | " + " | ".join(cells) + " |")
  return "\n".join(lines) + f"\n\n{_source(result)}"


def transport_table(result: dict) -> str:
  """Mean of each row and column, interval of its difference from the first row, and time."""
  rows = result["rows"]
  first = next(iter(rows.values()))
  columns = [column for column in TRANSPORT_COLUMNS if column in first["columns"]]
  heads = [*(QUALITY_COLUMNS[column] for column in columns), "processor time"]
  lines = ["| moved to the style's | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
  for name, row in rows.items():
    values = [row["columns"][column] for column in columns]
    cells = [f"{value['mean']:.3f}" for value in values]
    if row is not first:
      apart = ["[{low:+.3f}, {high:+.3f}]".format(**value["difference"]) for value in values]
      cells = [f"{mean} {interval}" for mean, interval in zip(cells, apart)]
    cells.append(f"{row['cpu_seconds'] / first['cpu_seconds']:.1f} ×")
    lines.append(f"| {name} | " + " | ".join(cells) + " |")
  return "\n".join(
    [
      *lines,
      "",
      f"{len(result['pairs'])} pairs at 256 × 256. In brackets: 95 % bootstrap interval of what "
      f"a row has more than the first on the same pairs. {_source(result)}",
    ]
  )


def refine_curve_table(result: dict) -> str:
  """Seconds for each number of steps, and its columns with their share of what neighbors gains."""
  columns = [name for name in result["rows"][0]["columns"] if name in QUALITY_COLUMNS]
  heads = ["", "s of CPU", "of neighbors'", *(QUALITY_COLUMNS[column] for column in columns)]
  lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
  for row in result["rows"]:
    cells = [row["case"], f"{row['cpu_seconds']:.0f}", f"{row['share_of_time']:.2f}"]
    for column in columns:
      gain = row["gain"].get(column)
      mean = f"{row['columns'][column]['mean']:.3f}"
      cells.append(mean if gain is None else f"{mean} ({gain:.0%})")
    lines.append("| " + " | ".join(cells) + " |")
  return "\n".join(
    [
      *lines,
      "",
      f"{result['options']['limit']} pairs at 256 pixels. In brackets: of what neighbors has more "
      f"than the networks. {_source(result)}",
    ]
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


# {benchmark: how its result becomes a table}; the others use timed_table.
TABLES = {
  "quality": quality_table,
  "ranking": ranking_table,
  "flicker": flicker_table,
  "transport": transport_table,
  "refine_curve": refine_curve_table,
  **POD_TABLES,
  "large": large_table,
  "startup": processes_table,
  "files": processes_table,
}
