"""How long does the first call take: compiled anew, from the cache on disk, from a new process?

    python -m benchmarks compile --sizes 512

Also: importing stylejax beside importing jax and flax, and infer.py from start to file.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax

from benchmarks import nets, stylize, timing
from stylejax import transfer
from stylejax.inference.compilation import enable_cache

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "stylejax" / "assets" / "samples"


def compile_rows(options: timing.Options) -> list[dict]:
  """Seconds to have `stylize` ready at each size, without and with an entry in the cache."""
  params, style = nets.params(options), nets.pictures(options, stylize.STYLE_SIZE)
  rows = []
  for size in options.sizes:
    arguments = params, nets.pictures(options, size), style
    for kind in ("cold", "cached"):
      jax.clear_caches()
      start = time.perf_counter()
      jax.jit(transfer.stylize).lower(*arguments).compile()
      rows.append({"case": f"stylize, {kind}", **nets.about(options, size),
                   "seconds": _spread([time.perf_counter() - start])})
  return rows


def process_rows(repeats: int) -> list[dict]:
  """Seconds of whole processes, in turn: two imports, and infer.py at a shorter side of 512."""
  picture = Path(tempfile.mkdtemp()) / "stylized.png"
  content, style = SAMPLES / "content" / "cat.jpg", SAMPLES / "style" / "great_wave.jpg"
  infer = [sys.executable, str(ROOT / "infer.py"), "--content", str(content),
           "--style", str(style), "--size", "512", "--output", str(picture)]
  commands = {"import jax, flax": [sys.executable, "-c", "import jax, flax"],
              "import stylejax": [sys.executable, "-c", "import stylejax"],
              "infer.py, later start": infer}
  seconds = {name: [] for name in commands}
  subprocess.run(infer, check=True, capture_output=True)
  for _ in range(repeats):
    for name, command in commands.items():
      start = time.perf_counter()
      subprocess.run(command, check=True, capture_output=True)
      seconds[name].append(time.perf_counter() - start)
  picture.unlink()
  picture.parent.rmdir()
  rows = [{"case": name, "seconds": _spread(times)} for name, times in seconds.items()]
  rows[1]["ratio"] = rows[1]["seconds"]["median"] / rows[0]["seconds"]["median"]
  return rows


def _spread(times: list[float]) -> dict[str, float]:
  ordered = sorted(times)
  quarter = len(ordered) // 4
  return {"median": ordered[len(ordered) // 2], "low": ordered[quarter],
          "high": ordered[-1 - quarter]}


def main(options: timing.Options) -> dict:
  """Prints the table and returns the result."""
  rows = process_rows(options.repeats)
  with tempfile.TemporaryDirectory() as folder:
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    enable_cache()
    rows += compile_rows(options)
    jax.config.update("jax_compilation_cache_dir", None)
  return timing.report("compile", options, {"rows": rows})


if __name__ == "__main__":
  timing.command(main, timing.Options, __doc__)
