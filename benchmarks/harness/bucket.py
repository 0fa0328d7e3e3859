"""A stand-in for a bucket of Google Cloud Storage: a folder of this machine, read through gs://.

    with bucket.serve(folder, delay=0.03) as url:   # gs://bucket
      open_images(f"{url}/shards", flag="--places")

In the block, gcsfs asks this server instead of Google, also in processes that start there, because
gcsfs reads an environment variable for emulators. The server lists objects and returns ranges of
them, each `delay` seconds after the request, however many arrive at once; nothing can be written.
It tells nothing about the bandwidth of a real bucket.
"""

import asyncio
import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

NAME = "bucket"
_VARIABLES = ("STORAGE_EMULATOR_HOST", "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT")
_SERVE = "from benchmarks.harness.bucket import main; main()"


@contextlib.contextmanager
def serve(folder: Path, *, delay: float = 0.0) -> Iterator[str]:
  """Serves a folder from a process of its own while the block runs.

  Args:
    folder: its files are the bucket's objects.
    delay: seconds before each answer.

  Yields:
    The bucket's URL, without an object.

  Raises:
    InputError: gcsfs is not installed.
  """
  if importlib.util.find_spec("gcsfs") is None:
    raise InputError("gcsfs: found none, expected it for gs://: " + install_command("gcs"))
  before = {name: os.environ.get(name) for name in _VARIABLES}
  server = subprocess.Popen(
    [sys.executable, "-c", _SERVE, str(folder), str(delay)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    text=True,
  )
  assert server.stdin is not None and server.stdout is not None
  try:
    port = int(server.stdout.readline())
    # Else gcsfs asks another service, which has no emulator, what kind of bucket it is.
    os.environ.update(zip(_VARIABLES, (f"http://127.0.0.1:{port}", "false"), strict=True))
    _forget_file_systems()
    yield f"gs://{NAME}"
  finally:
    _forget_file_systems()
    for name, value in before.items():
      os.environ.pop(name, None)
      if value is not None:
        os.environ[name] = value
    server.stdin.close()
    server.wait()
    server.stdout.close()


def _forget_file_systems() -> None:
  """Clears fsspec's cache of file systems, whose keys don't contain environment variables."""
  import gcsfs  # only here: it reads the second variable on import

  gcsfs.GCSFileSystem.clear_instance_cache()


def main() -> None:
  """Runs the server: prints its port, and ends when its standard input is closed."""
  asyncio.run(_run(Path(sys.argv[1]), float(sys.argv[2])))


async def _run(folder: Path, delay: float) -> None:
  from aiohttp import web

  server = _Server(folder, delay)
  application = web.Application()
  # gcsfs quotes the slashes of an object's name.
  application.router.add_get(f"/storage/v1/b/{NAME}/o", server.listing)
  application.router.add_get(f"/storage/v1/b/{NAME}/o/{{name:.+}}", server.about)
  application.router.add_get(f"/download/storage/v1/b/{NAME}/o/{{name:.+}}", server.content)
  runner = web.AppRunner(application, access_log=None)
  await runner.setup()
  site = web.TCPSite(runner, "127.0.0.1", 0)
  await site.start()
  print(runner.addresses[0][1], flush=True)
  await asyncio.to_thread(sys.stdin.read)
  await runner.cleanup()


class _Server:
  """Answers gcsfs's reading requests like the JSON API of GCS."""

  def __init__(self, folder: Path, delay: float):
    self._folder, self._delay = folder, delay

  def _described(self, path: Path) -> dict[str, Any]:
    name = path.relative_to(self._folder).as_posix()
    size = str(path.stat().st_size)
    return {"kind": "storage#object", "bucket": NAME, "name": name, "size": size}

  async def listing(self, request):
    from aiohttp import web

    await asyncio.sleep(self._delay)
    prefix = request.query.get("prefix", "")
    files = sorted(path for path in self._folder.rglob("*") if path.is_file())
    items = [self._described(path) for path in files]
    items = [item for item in items if item["name"].startswith(prefix)]
    return web.json_response({"kind": "storage#objects", "items": items})

  async def about(self, request):
    from aiohttp import web

    await asyncio.sleep(self._delay)
    return web.json_response(self._described(self._found(request)))

  async def content(self, request):
    from aiohttp import web

    await asyncio.sleep(self._delay)
    return web.FileResponse(self._found(request))  # which handles ranges

  def _found(self, request) -> Path:
    from aiohttp import web

    path = self._folder / request.match_info["name"]
    if not path.is_file():
      raise web.HTTPNotFound
    return path
