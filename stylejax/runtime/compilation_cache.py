"""JAX's compilation cache on disk, which makes later starts of a command quick.

Commands enable it; a library should not change JAX's settings on import, so there a call does.
"""

import contextlib
import os
import re
import tempfile
import warnings
from pathlib import Path

import jax
import platformdirs

MOST_BYTES = 2**30
"""Size in bytes, some thousands of programs, above which the least recently used are removed.

JAX's own limit (jax_compilation_cache_max_size) needs another package, and in jax 0.10.2 it stops a
cache that was created without it from accepting new entries; jax 0.12.0.1 no longer does.
"""

VARIABLE = "STYLEJAX_CACHE"
"""Environment variable: a folder for the cache, or an empty string to disable it."""


def enable_cache() -> Path | None:
  """Keeps compiled programs in the user's cache folder, for later processes.

  Call it once, before anything is compiled. `Stylizer` then starts without tracing or compiling
  what an earlier process has compiled, and JAX keeps all other programs there, too. Each command
  calls it by itself.

  The folder is $STYLEJAX_CACHE or else the user's cache folder: on Linux, $XDG_CACHE_HOME/stylejax
  or ~/.cache/stylejax. A cache that is already configured (JAX_COMPILATION_CACHE_DIR) is left
  alone. If the folder can't be written to, nothing is raised or printed, and programs are only
  compiled again. `process.run` undoes the changes that this makes to warnings.

  Returns:
    The folder in use, or None.
  """
  if jax.config.jax_compilation_cache_dir:
    return Path(jax.config.jax_compilation_cache_dir)
  folder = _folder()
  if folder is None:
    return None
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
      pass
  except OSError:
    return None
  jax.config.update("jax_compilation_cache_dir", str(folder))
  # Each network compiles in about a second, and every one delays the image.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
  _drop_damaged_entries(folder)
  drop_least_recently_used(folder)
  return folder


def drop_least_recently_used(folder: Path, *, most_bytes: int = MOST_BYTES) -> None:
  """Removes the least recently used files of a folder if it holds more than `most_bytes`.

  It then keeps only three quarters of that, so that not every start has to remove files. Other
  processes may do the same at the same time; one whose program is removed compiles it again.

  Args:
    folder: the folder, including its subfolders.
    most_bytes: the largest size that is left alone.
  """
  files = []
  for parent, _, names in os.walk(folder):
    for name in names:
      path = os.path.join(parent, name)
      with contextlib.suppress(OSError):
        about = os.stat(path)
        files.append((max(about.st_atime, about.st_mtime), about.st_size, path))
  total = sum(size for _, size, _ in files)
  if total <= most_bytes:
    return
  for _, size, path in sorted(files):
    with contextlib.suppress(OSError):
      os.unlink(path)
    total -= size
    if total <= 0.75 * most_bytes:
      return


def _drop_damaged_entries(folder: Path) -> None:
  """From now on, removes cache entries that can't be read, and hides JAX's warning about them.

  JAX compiles again but never replaces an entry, so a truncated one (a killed process, a full disk)
  would make every later start slow. Users couldn't act on the warning.
  """
  pattern = re.compile(r"Error (reading|writing) persistent compilation cache entry for '(\w+)")
  show_others = warnings.showwarning

  def show(message, *arguments, **keywords):
    match = pattern.match(str(message))
    if match is None:
      show_others(message, *arguments, **keywords)
    elif match[1] == "reading":
      for path in folder.glob(f"{match[2]}-*"):
        with contextlib.suppress(OSError):
          path.unlink()

  warnings.filterwarnings("always", message="Error .* persistent compilation cache entry")
  warnings.showwarning = show


def _folder() -> Path | None:
  if VARIABLE in os.environ:
    value = os.environ[VARIABLE]
    return Path(value).expanduser().absolute() if value else None
  folder = platformdirs.user_cache_path("stylejax")
  return folder if folder.is_absolute() else None  # "~" if there is no home folder
