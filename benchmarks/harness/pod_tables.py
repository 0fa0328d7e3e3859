"""Tables of what was compiled for pods and GPUs, and of what was measured on a device.

The tables of other benchmarks are in tables.py, which looks these up by name.
"""

import itertools

from benchmarks.harness import records


def pod_table(result: dict) -> str:
  """One line for each slice, or number of slices, that a step was compiled for."""
  scaled = any(row["slices"] > 1 for row in result["rows"])
  lines = [
    "| slices | chips | batch | TFLOP a chip | HBM traffic, GB a chip | memory a device, MiB "
    "(of what it may) | sent between devices, MB; slices | roofline step, ms: compute, HBM; within "
    "slices, between | communication | of it beside convolutions | of the peak | images/s |"
    + (" a chip's, of one slice's |" if scaled else ""),
    "|---" * (13 if scaled else 12) + "|",
  ]
  for row in result["rows"]:
    bound = {key.removesuffix("_seconds"): 1e3 * value for key, value in row["roofline"].items()}
    sent = {
      between: sum(found["bytes"] for found in row["collectives"] if found["between"] == between)
      / 1e6
      for between in ("devices", "slices")
    }
    cells = [
      row["topology"] if row["slices"] == 1 else f"{row['slices']} × {row['topology']}",
      row["chips"],
      row["batch"],
      f"{row['gflop_per_chip'] / 1e3:.2f}",
      f"{row['hbm_gb_per_chip']:.2f}",
      f"{row['memory_mib']['peak']:,.0f} ({row['memory_share']:.0%})",
      f"{sent['devices']:.0f}; {sent['slices']:.1f}",
      f"{bound['step']:.2f}: {bound['compute']:.2f}, {bound['memory']:.2f}; "
      f"{bound['within_slices']:.2f}, {bound['between_slices']:.2f}",
      f"{row['communication_share']:.1%}",
      f"{row['overlapped_share']:.0%}",
      f"{bound['compute'] / bound['step']:.0%}",
      f"{row['images_per_second']:,.0f}",
    ]
    if scaled:
      cells.append(f"{row['efficiency']:.3f}")
    lines.append("| " + " | ".join(map(str, cells)) + " |")
  return "\n".join([*lines, "", _compiled(result)])


def recommended_table(results: list[dict]) -> str:
  """One line for each kind of slice at its fastest batch: its cost, and what several slices keep.

  Args:
    results: results of `pod`, in which a row of one slice is followed by those of several of it.
  """
  lines = [
    "| slice | images a chip | in parts | of the peak | communication, one slice | images/s a chip "
    "| slices | a chip's images/s, of one slice's |",
    "|---" * 8 + "|",
  ]
  best: dict[str, list[dict]] = {}
  for row in itertools.chain.from_iterable(result["rows"] for result in results):
    if row["slices"] == 1:
      alone = best.get(row["topology"])
      taken = alone is None or alone[0]["images_per_second"] < row["images_per_second"]
      if taken:
        best[row["topology"]] = [row]
    elif taken:
      best[row["topology"]].append(row)
  for alone, *several in best.values():
    for row in several:
      cells = [
        alone["topology"],
        alone["batch_per_chip"],
        alone["accumulate"],
        f"{alone['peak_share']:.0%}",
        f"{alone['communication_share']:.1%}",
        f"{alone['images_per_second'] / alone['chips']:,.0f}",
        row["slices"],
        f"{row['efficiency']:.3f}",
      ]
      lines.append("| " + " | ".join(map(str, cells)) + " |")
  return "\n".join([*lines, "", "**Computed, not measured**, from the tables below."])


def pod_search_table(result: dict) -> str:
  """One line for each combination that was tried, the best first."""
  lines = [
    "| images a chip | remat | accumulate | images/s | of the peak | communication | memory a "
    "device, MiB |",
    "|---" * 7 + "|",
  ]
  for row in result["rows"]:
    cells = [row["batch_per_chip"], "yes" if row["remat"] else "no", row["accumulate"]]
    if "images_per_second" in row:
      cells += [
        f"{row['images_per_second']:,.0f}",
        f"{row['peak_share']:.0%}",
        f"{row['communication_share']:.0%}",
        f"{row['memory_mib']['peak']:,.0f} ({row['memory_share']:.0%})",
      ]
    else:
      needed = row["needed_mib"]
      takes = f"{needed:,.0f}" if needed else "more"
      cells += ["doesn't fit", "", "", f"{takes} of {row['memory_limit_mib']:,.0f}"]
    lines.append("| " + " | ".join(map(str, cells)) + " |")
  best = result["rows"][0]
  where = best["topology"] if best["slices"] == 1 else f"{best['slices']} × {best['topology']}"
  return "\n".join([*lines, "", f"{where}. {_compiled(result)}"])


def pod_gpu_table(result: dict) -> str:
  """One line for each box of GPUs that a step was compiled for."""
  lines = [
    "| box | batch | TFLOP a GPU | memory a GPU, MiB | summed, MB | convolutions | at least, ms: "
    "compute, communication |",
    "|---" * 7 + "|",
  ]
  for row in result["rows"]:
    bound = {key.removesuffix("_seconds"): 1e3 * value for key, value in row["roofline"].items()}
    kinds = "; ".join(
      f"{kind['count']} of {kind['types']} in {kind['layout']}" for kind in row["convolutions"]
    )
    cells = [
      row["topology"],
      row["batch"],
      f"{row['gflop_per_device'] / 1e3:.2f}",
      f"{row['memory_mib']:,.0f} ({row['memory_share']:.0%})",
      f"{sum(found['bytes'] for found in row['collectives']) / 1e6:.0f}",
      kinds,
      f"{bound['step']:.2f}: {bound['compute']:.2f}, {bound['communication']:.2f}",
    ]
    lines.append("| " + " | ".join(map(str, cells)) + " |")
  return "\n".join([*lines, "", _compiled(result, "published figures, without what memory takes")])


def device_check_table(result: dict) -> str:
  """What a device computed correctly, and how fast, as measured there."""
  lines = ["| number | precision | from the CPU's | at most | holds |", "|---" * 5 + "|"]
  lines += [
    f"| {row['what']} | {row['precision']} | {row['difference']:.1e} | {row['tolerance']:.1e} | "
    f"{'yes' if row['holds'] else '**no**'} |"
    for row in result["numbers"]
  ]
  lines += ["", "| case | images/s | ms | of the published peak | memory, MiB | compilation, s |"]
  lines.append("|---" * 6 + "|")
  for row in result["rows"]:
    cells = [
      records.label(row),
      records.digits(row["images_per_second"]),
      records.digits(1e3 * row["seconds"]["median"]),
      f"{row['mfu']:.0%}" if "mfu" in row else "",
      f"{row['peak_mib']:,.0f}" if "peak_mib" in row else "",
      f"{row['compile_seconds']:.0f}",
    ]
    lines.append("| " + " | ".join(cells) + " |")
  lines += ["", *(f"Left out: {line}." for line in result["left_out"])]
  peak = result["peak_device_mib"]
  most = f", at most {peak:,.0f} MiB of it at once" if peak else ""
  lines.append(
    f"**Measured** on {result['device']}{most}: `{result['command']}`, jax "
    f"{result['versions']['jax']}, {result['date'][:10]}."
  )
  return "\n".join(lines)


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


def _compiled(result: dict, bound: str = "a roofline") -> str:
  row = next(row for row in result["rows"] if "images_per_second" in row)
  versions = result["versions"]
  by = f", libtpu {versions['libtpu']}" if result["benchmark"] != "pod_gpu" else ""
  return (
    f"**Computed by the compiler and {bound}, not measured**: {row['case']} of preset "
    f"`{row['preset']}` in {row['dtype']} at {row['size']} px. `{result['command']}`, jax "
    f"{versions['jax']}{by}, {result['date'][:10]}."
  )


POD_TABLES = {
  "pod": pod_table,
  "pod_scaling": pod_scaling_table,
  "pod_search": pod_search_table,
  "pod_gpu": pod_gpu_table,
  "device_check": device_check_table,
}
