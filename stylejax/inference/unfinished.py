"""What is kept next to an unfinished output, so that a killed run can be resumed.

For a film it is a folder with the stylized frames, as PNG, and the state that the next frame needs,
saved every so many frames; for an image it is a hidden file with the state of its descent. Both are
removed when the output is complete.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import stylejax
from stylejax.errors import InputError
from stylejax.images.decode import read_image
from stylejax.images.encode import as_bytes, write_image
from stylejax.runtime.files import printable, replacing
from stylejax.runtime.locks import NoLocks, locked
from stylejax.runtime.temporary import temporary_path

SUFFIX = ".unfinished"
"""What is appended to the output's name."""

_SETTINGS, _STATE = "settings.json", "state.npz"
_LAYOUT = 2  # version of the folder's layout; a folder of another version isn't resumed


class Unfinished:
  """Frames that are done, and the state after the last of them.

  Attributes:
    folder: the folder that they are in.
    done: how many frames needn't be stylized again.
  """

  def __init__(
    self, output: Path, settings: Mapping[str, Any], inputs: Iterable[str | os.PathLike]
  ):
    """Opens the folder of an earlier run, or makes one.

    Args:
      output: the film.
      settings: all that its frames depend on besides the files, serializable as JSON.
      inputs: the files, which must not have changed since.

    Raises:
      InputError: the existing folder isn't a run's, or is from one with other settings or files.
    """
    self.folder = _folder(output)
    key = run_key({**settings, "layout": _LAYOUT}, inputs)
    self.done = 0
    self._saved: dict[str, np.ndarray] = {}
    if not self.folder.exists():
      _make(self.folder, {"stylejax": stylejax.__version__, "key": key})
      return
    try:
      saved = json.loads((self.folder / _SETTINGS).read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
      raise InputError(
        f"--resume: found {printable(self.folder)}, which no earlier run wrote, expected "
        "nothing there"
      ) from None
    if saved != key:
      raise InputError(
        f"--resume: found {printable(self.folder)} from a run with other settings or files, "
        "expected those of the run that was stopped; without that folder the film starts over"
      )
    state = self.folder / _STATE
    if state.is_file():
      self._saved = _read(state)
      self.done = int(self._saved.pop("done"))

  def image(self, number: int) -> np.ndarray:
    """A frame that is done, [H, W, 3] float32, as from `rounded`; number counts from 1."""
    return read_image(self._path(number)).rgb

  def write(self, number: int, rgb: np.ndarray) -> None:
    """Saves a frame."""
    write_image(self._path(number), rgb)

  def save(self, done: int, state: Any) -> None:
    """Saves a tree of arrays, the state after `done` frames, which must have been written."""
    arrays: dict[str, Any] = {"done": np.int64(done)}
    arrays |= {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(state))}
    with replacing(self.folder / _STATE) as temporary, open(temporary, "wb") as file:
      np.savez(file, **arrays)

  def state(self, like: Any) -> Any:
    """The state that was saved, as a tree of the same structure as `like`."""
    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(tree, [self._saved[f"leaf{n}"] for n in range(len(leaves))])

  def remove(self) -> None:
    """Removes the folder once the film is complete; a kill meanwhile leaves nothing to resume."""
    gone = temporary_path(self.folder.parent)
    with contextlib.suppress(OSError):
      os.rename(self.folder, gone)
    shutil.rmtree(gone, ignore_errors=True)

  def _path(self, number: int) -> Path:
    return self.folder / f"{number:06d}.png"


class UnfinishedImage:
  """The state of a descent, in the file .NAME.unfinished, which is locked until `close`.

  Attributes:
    path: the file.
    saved: the arrays that an earlier run saved last; None if there are none or they aren't used.
  """

  def __init__(
    self,
    output: Path,
    settings: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike],
    *,
    resume: bool,
  ):
    """Locks the file and, to resume, reads what an earlier run saved.

    Args:
      output: the image.
      settings: all that the descent depends on besides the files, serializable as JSON.
      inputs: the files, which must not have changed since.
      resume: whether to resume the earlier run; otherwise the file is replaced.

    Raises:
      InputError: the existing file isn't a run's, or is from one with other settings or files, or
        another run uses it.
    """
    target = Path(os.path.realpath(output))
    self.path = target.parent / f".{target.name}{SUFFIX}"
    self._key = run_key(settings, inputs)
    self.saved: list[np.ndarray] | None = None
    self._lock = contextlib.ExitStack()
    with contextlib.suppress(NoLocks):
      self._lock.enter_context(locked(target, "--output", patience=0))
    try:
      if resume and self.path.exists():
        self._read()
    except BaseException:
      self.close()
      raise

  def _read(self) -> None:
    """Sets `saved`."""
    try:
      with np.load(self.path, allow_pickle=False) as arrays:
        key = str(arrays["key"])
        self.saved = [arrays[f"leaf{n}"] for n in range(len(arrays.files) - 1)]
    except (MemoryError, OSError):
      raise  # says what is wrong, which is not the file's bytes
    # BadZipFile and zlib's error have no class in common with the others.
    except Exception:
      raise InputError(
        f"--resume: found {printable(self.path)}, which no earlier run wrote, expected "
        "nothing there"
      ) from None
    if key != self._key:
      raise InputError(
        f"--resume: found {printable(self.path)} from a run with other settings or files, "
        "expected those of the run that was stopped; without that file the image starts over"
      )

  def save(self, arrays: Sequence[np.ndarray]) -> None:
    """Saves arrays, atomically: after a kill, the file is either the new or the previous one."""
    named: dict[str, Any] = {f"leaf{n}": array for n, array in enumerate(arrays)}
    named["key"] = np.array(self._key)
    with replacing(self.path) as temporary, open(temporary, "wb") as file:
      np.savez(file, **named)

  def remove(self) -> None:
    """Removes the file once the image is complete, and unlocks it."""
    self.path.unlink(missing_ok=True)
    self.close()

  def close(self) -> None:
    """Unlocks the file for other runs. May be called repeatedly."""
    self._lock.close()


@contextlib.contextmanager
def opened(
  output: Path, settings: Mapping[str, Any], inputs: Iterable[str | os.PathLike]
) -> Iterator[Unfinished]:
  """An `Unfinished` that is locked against other runs, if the file system has locks.

  Raises:
    InputError: as in `Unfinished`, or another run uses it.
  """
  with contextlib.ExitStack() as stack:
    with contextlib.suppress(NoLocks):
      stack.enter_context(locked(_folder(output), "--resume", patience=0))
    yield Unfinished(output, settings, inputs)


def rounded(rgb: np.ndarray) -> np.ndarray:
  """An image rounded to 8 bits, as it will be read back."""
  return as_bytes(rgb).astype(np.float32) / np.float32(255)


def _folder(output: Path) -> Path:
  target = Path(os.path.realpath(output))
  return target.parent / f"{target.name}{SUFFIX}"


def _make(folder: Path, settings: dict) -> None:
  """Makes the folder with its settings in it; a kill meanwhile leaves no folder without them."""
  temporary = temporary_path(folder.parent)
  temporary.mkdir()
  try:
    with replacing(temporary / _SETTINGS) as file:
      file.write_text(json.dumps(settings))
    os.rename(temporary, folder)
  except BaseException:
    shutil.rmtree(temporary, ignore_errors=True)
    raise


def _read(state: Path) -> dict[str, np.ndarray]:
  """The arrays of a saved state, including the number of frames that are done."""
  try:
    with np.load(state, allow_pickle=False) as arrays:
      saved = {name: arrays[name] for name in arrays.files}
    int(saved["done"])
  except (MemoryError, OSError):
    raise  # says what is wrong, which is not the file's bytes
  # BadZipFile and zlib's error have no class in common with the others.
  except Exception:
    raise InputError(
      f"--resume: found {printable(state)} damaged, expected what a run saved; without its "
      "folder the film starts over"
    ) from None
  return saved


def run_key(settings: Mapping[str, Any], inputs: Iterable[str | os.PathLike]) -> str:
  """A hash of all that an output depends on."""
  files = []
  for path in sorted(map(os.path.abspath, inputs)):
    status = os.stat(path)
    files.append([path, status.st_size, status.st_mtime_ns])
  text = json.dumps([stylejax.__version__, settings, files], sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()
