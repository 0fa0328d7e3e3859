"""`stylejax web`: serves the page, made by `stylejax.deploy.page`, to browsers on this machine."""

import contextlib
import dataclasses
import errno
import http.server
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Annotated

from stylejax.cli import common_options
from stylejax.cli.options import INSTALLED, Spelling, option, parse, print_error
from stylejax.errors import InputError
from stylejax.runtime.extras import install_command

_DESCRIPTION = """Serve a page that stylizes photos in the browser, only to this machine.

The page does all its work in the browser: no photo is sent anywhere, not even to this server.
Ctrl-C stops the server. It needs additional packages: {install}.

Examples:
  stylejax web
  stylejax web --port 9000 --weights mine.safetensors

`stylejax export page.html` writes the page as one file that opens from disk.
"""

_HOST = "127.0.0.1"
_TYPES = {
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".onnx": "application/octet-stream",
}


@dataclasses.dataclass(frozen=True)
class Options:
  """Options of `stylejax web`."""

  port: Annotated[
    int, option("Port of this machine, 1 to 65535; 0 chooses a free one.", metavar="NUMBER")
  ] = 8420
  weights: common_options.Weights = "base"


def main(arguments: Sequence[str], *, spelling: Spelling = INSTALLED) -> int:
  """Runs the command and returns its exit status."""
  try:
    options = parse(
      Options,
      arguments,
      prog=spelling.of("web"),
      description=_DESCRIPTION.format(install=install_command("onnx")),
      spelling=spelling,
    )
    if not 0 <= options.port <= 65535:
      raise InputError(f"--port: found {options.port}, expected 0 to 65535")
  except InputError as error:
    return print_error(error)
  from stylejax.cli.console import exit_status
  from stylejax.runtime.extras import check_installed
  from stylejax.weights.model_file import load_pretrained

  def work() -> int:
    check_installed("onnx", "web", "the page's models")
    from stylejax.deploy.page import page_files

    # The port is opened before the work, so that one in use is reported at once.
    with server({}, options.port) as bound:
      bound.files.update(page_files(load_pretrained(options.weights)))
      print(f"http://{_HOST}:{bound.server_address[1]}/", flush=True)
      print("Open this address in a browser; Ctrl-C stops the server.", flush=True)
      with contextlib.suppress(KeyboardInterrupt):
        bound.serve_forever()
    return 0

  return exit_status(work)


class Server(http.server.ThreadingHTTPServer):
  """Serves files from memory, by name."""

  daemon_threads = True
  allow_reuse_address = False  # a port at which another program listens is refused

  def __init__(self, address: tuple[str, int], files: Mapping[str, bytes]):
    self.files = dict(files)
    super().__init__(address, Handler)


class Handler(http.server.BaseHTTPRequestHandler):
  """Sends a file, with the headers that allow a page to use threads."""

  protocol_version = "HTTP/1.1"
  server: Server

  def do_GET(self) -> None:
    name = self.path.split("?")[0].lstrip("/") or "index.html"
    content = self.server.files.get(name)
    self.send_response(404 if content is None else 200)
    content = f"There is no {name!r} here.\n".encode() if content is None else content
    suffix = name[name.rfind(".") :]
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"
    self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text") else kind)
    self.send_header("Content-Length", str(len(content)))
    self.send_header("Cross-Origin-Opener-Policy", "same-origin")
    self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
    self.send_header("Cross-Origin-Resource-Policy", "same-origin")
    self.send_header("X-Content-Type-Options", "nosniff")
    self.send_header("Cache-Control", "no-cache")
    self.end_headers()
    if self.command != "HEAD":
      with contextlib.suppress(ConnectionError):  # the browser has left
        self.wfile.write(content)

  do_HEAD = do_GET

  def log_message(self, format: str, *arguments: object) -> None:
    """Does nothing, so that requests aren't logged."""


def server(files: Mapping[str, bytes], port: int) -> Server:
  """A server on this machine that isn't running yet.

  Raises:
    InputError: the port can't be used.
  """
  try:
    return Server((_HOST, port), files)
  except OSError as error:
    taken = error.errno == errno.EADDRINUSE
    found = "one that another program uses" if taken else (error.strerror or "an error")
    raise InputError(
      f"--port {port}: found {found}, expected a free one, which --port 0 finds"
    ) from error
