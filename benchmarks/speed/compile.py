"""How long does the first call take: compiled anew, from the cache on disk, in a new process?

    python -m benchmarks compile --sizes 512

Also times importing stylejax beside importing jax and flax, and infer.py from start to file.
"""

import dataclasses
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from benchmarks.harness import command_line, nets, records, timing
from benchmarks.speed import stylize
from stylejax import transfer
from stylejax.errors import InputError
from stylejax.runtime.jit import compiler_options

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"


@dataclasses.dataclass(frozen=True)
class Options(command_line.Settings):
  """What to compile and start, and where to save the result."""

  repeats: int = 10
  """How often each case is run."""

  def check(self) -> None:
    """Raises InputError on the first setting that can't be measured."""
    super().check()
    command_line.at_least("--repeats", self.repeats, 1)


def compile_rows(options: Options) -> list[dict]:
  """Seconds until `stylize` is compiled at each size, without and with an entry in a disk cache."""
  params, style = nets.params(options), nets.images(options, stylize.STYLE_SIZE)
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  rows = []
  for size in options.sizes:
    arguments = params, nets.images(options, size), style
    seconds = {"cold": [], "cached": []}
    for _ in range(options.repeats):
      with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()
        for times in seconds.values():
          jax.clear_caches()
          start = time.perf_counter()
          jax.jit(transfer.stylize, compiler_options=compiler_options()).lower(*arguments).compile()
          times.append(time.perf_counter() - start)
    rows += [
      {"case": f"stylize, {kind}", **nets.about(options, size), "seconds": timing.spread(times)}
      for kind, times in seconds.items()
    ]
  jax.config.update("jax_compilation_cache_dir", None)
  return rows


def process_rows(repeats: int) -> list[dict]:
  """Seconds of whole processes, run in turn: two imports, and infer.py at a shorter side of 512."""
  folder = tempfile.TemporaryDirectory()
  image = Path(folder.name) / "stylized.png"
  content, style = SAMPLES / "content" / "cat.jpg", SAMPLES / "style" / "great_wave.jpg"
  infer = [
    sys.executable,
    str(ROOT / "infer.py"),
    "--content",
    str(content),
    "--style",
    str(style),
    "--size",
    "512",
    "--output",
    str(image),
  ]
  commands = {
    "import jax, flax": [sys.executable, "-c", "import jax, flax"],
    # `import stylejax` alone loads nothing: its names are looked up at first use.
    "from stylejax import stylize, load_pretrained": [
      sys.executable,
      "-c",
      "from stylejax import stylize, load_pretrained",
    ],
    "infer.py, later start": infer,
  }
  seconds = {name: [] for name in commands}
  subprocess.run(infer, check=True, capture_output=True)
  for _ in range(repeats):
    for name, command in commands.items():
      start = time.perf_counter()
      subprocess.run(command, check=True, capture_output=True)
      seconds[name].append(time.perf_counter() - start)
  folder.cleanup()
  rows = [{"case": name, "seconds": timing.spread(times)} for name, times in seconds.items()]
  rows[1]["ratio"] = rows[1]["seconds"]["median"] / rows[0]["seconds"]["median"]
  return rows


def main(options: Options) -> dict:
  """Prints the table and returns the result."""
  try:
    rows = process_rows(options.repeats)
  except subprocess.CalledProcessError as error:
    last = error.stderr.decode().strip().splitlines()[-1:] or [str(error)]
    raise InputError(f"{error.cmd[1]}: found {last[0]}, expected it to run") from error
  return records.report("compile", options, {"rows": rows + compile_rows(options)})


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
