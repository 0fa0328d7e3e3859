"""What lies beside an output that isn't done yet, and what a killed run goes on from.

Beside a film it is a folder with the frames that are stylized, as PNG, and, every so many frames,
all that the next one needs to know of them; beside an image a hidden file with the state of its
descent. Both are there only while the output isn't.
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
"""Behind the output's name."""

_SETTINGS, _STATE = "settings.json", "state.npz"
_LAYOUT = 2  # of the folder; what another one holds isn't gone on from


class Unfinished:
  """Frames that are done, and the state behind them.

  Attributes:
    folder: where they are.
    done: how many there are and needn't be stylized again.
  """

  def __init__(
    self, output: Path, settings: Mapping[str, Any], inputs: Iterable[str | os.PathLike]
  ):
    """Opens the folder of an earlier run, or makes one.

    Args:
      output: the film.
      settings: all that its frames depend on beside the files; anything that JSON holds.
      inputs: the files, which must not have changed since.

    Raises:
      InputError: the folder there isn't of such a run, or of one with other settings or files.
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
        f"--resume: found {printable(self.folder)}, which no run has left, expected nothing there"
      ) from None
    if saved != key:
      raise InputError(
        f"--resume: found {printable(self.folder)} of other settings or files, expected those of "
        "the run that was stopped; without that folder the film begins anew"
      )
    state = self.folder / _STATE
    if state.is_file():
      self._saved = _read(state)
      self.done = int(self._saved.pop("done"))

  def image(self, number: int) -> np.ndarray:
    """A frame that is done, [H, W, 3] float32, as `rounded` gave it; counted from 1."""
    return read_image(self._path(number)).rgb

  def write(self, number: int, rgb: np.ndarray) -> None:
    """Keeps a frame."""
    write_image(self._path(number), rgb)

  def save(self, done: int, state: Any) -> None:
    """Keeps what the frame behind so many needs: any tree of arrays. Their frames are written."""
    arrays: dict[str, Any] = {"done": np.int64(done)}
    arrays |= {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(state))}
    with replacing(self.folder / _STATE) as temporary, open(temporary, "wb") as file:
      np.savez(file, **arrays)

  def state(self, like: Any) -> Any:
    """What was saved, as a tree like that one."""
    leaves, tree = jax.tree.flatten(like)
    return jax.tree.unflatten(tree, [self._saved[f"leaf{n}"] for n in range(len(leaves))])

  def remove(self) -> None:
    """Ends it: the film is there. A kill on the way leaves nothing that a run would go on from."""
    gone = temporary_path(self.folder.parent)
    with contextlib.suppress(OSError):
      os.rename(self.folder, gone)
    shutil.rmtree(gone, ignore_errors=True)

  def _path(self, number: int) -> Path:
    return self.folder / f"{number:06d}.png"


class UnfinishedImage:
  """The state of a descent, in the file .NAME.unfinished, which no other run has until `close`.

  Attributes:
    path: the file.
    saved: what an earlier run kept last; None without one, or if nobody goes on from it.
  """

  def __init__(
    self,
    output: Path,
    settings: Mapping[str, Any],
    inputs: Iterable[str | os.PathLike],
    *,
    resume: bool,
  ):
    """Reads the file of an earlier run, if it shall be gone on with.

    Args:
      output: the image.
      settings: all that the descent depends on beside the files; anything that JSON holds.
      inputs: the files, which must not have changed since.
      resume: whether to go on; otherwise the file is replaced.

    Raises:
      InputError: the file there isn't of such a run, or of one with other settings or files, or
        another run is at it.
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
    """Fills saved."""
    try:
      with np.load(self.path, allow_pickle=False) as arrays:
        key = str(arrays["key"])
        self.saved = [arrays[f"leaf{n}"] for n in range(len(arrays.files) - 1)]
    except (MemoryError, OSError):
      raise  # says what is wrong, which is not the file's bytes
    # BadZipFile and zlib's error have no class in common with the others.
    except Exception:
      raise InputError(
        f"--resume: found {printable(self.path)}, which no run has left, expected nothing there"
      ) from None
    if key != self._key:
      raise InputError(
        f"--resume: found {printable(self.path)} of other settings or files, expected those of "
        "the run that was stopped; without that file the image begins anew"
      )

  def save(self, arrays: Sequence[np.ndarray]) -> None:
    """Keeps these; the file is whole or the one before."""
    named: dict[str, Any] = {f"leaf{n}": array for n, array in enumerate(arrays)}
    named["key"] = np.array(self._key)
    with replacing(self.path) as temporary, open(temporary, "wb") as file:
      np.savez(file, **named)

  def remove(self) -> None:
    """Ends it: the image is there."""
    self.path.unlink(missing_ok=True)
    self.close()

  def close(self) -> None:
    """Leaves the file to other runs. May be called again."""
    self._lock.close()


@contextlib.contextmanager
def opened(
  output: Path, settings: Mapping[str, Any], inputs: Iterable[str | os.PathLike]
) -> Iterator[Unfinished]:
  """An `Unfinished` that no other run has at the same time; where there are no locks, it may.

  Raises:
    InputError: as `Unfinished`, or another run is at it.
  """
  with contextlib.ExitStack() as stack:
    with contextlib.suppress(NoLocks):
      stack.enter_context(locked(_folder(output), "--resume", patience=0))
    yield Unfinished(output, settings, inputs)


def rounded(rgb: np.ndarray) -> np.ndarray:
  """An image as it is read again from 8 bits."""
  return as_bytes(rgb).astype(np.float32) / np.float32(255)


def _folder(output: Path) -> Path:
  target = Path(os.path.realpath(output))
  return target.parent / f"{target.name}{SUFFIX}"


def _make(folder: Path, settings: dict) -> None:
  """Makes the folder with its settings in it; a kill on the way leaves none without them."""
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
  """The arrays of a state, with the number of frames that are done."""
  try:
    with np.load(state, allow_pickle=False) as arrays:
      saved = {name: arrays[name] for name in arrays.files}
    int(saved["done"])
  except (MemoryError, OSError):
    raise  # says what is wrong, which is not the file's bytes
  # BadZipFile and zlib's error have no class in common with the others.
  except Exception:
    raise InputError(
      f"--resume: found {printable(state)} damaged, expected what a run has kept; without its "
      "folder the film begins anew"
    ) from None
  return saved


def run_key(settings: Mapping[str, Any], inputs: Iterable[str | os.PathLike]) -> str:
  """One line for all that an output depends on."""
  files = []
  for path in sorted(map(os.path.abspath, inputs)):
    status = os.stat(path)
    files.append([path, status.st_size, status.st_mtime_ns])
  text = json.dumps([stylejax.__version__, settings, files], sort_keys=True, default=str)
  return hashlib.sha256(text.encode()).hexdigest()
