"""`stylejax web`: what it serves and says, and how it ends."""

import http.client
import os
import signal
import socket
import subprocess
import sys

import pytest

from stylejax.cli import web

pytest.importorskip("onnx", reason="onnx is not installed (pip install '.[dev]')")


def ask(port, path, method="GET"):
  connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
  connection.request(method, path)
  response = connection.getresponse()
  return response.status, dict(response.getheaders()), response.read()


def test_the_page_is_served_with_what_threads_need_until_ctrl_c():
  process = subprocess.Popen(
    [sys.executable, "-m", "stylejax", "web", "--port", "0"],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {"PYTHONUNBUFFERED": "1"},
    # A shell makes its background jobs ignore Ctrl-C, and children inherit that.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
  )
  try:
    address = process.stdout.readline().strip()
    port = int(address.removeprefix("http://127.0.0.1:").removesuffix("/"))
    status, headers, page = ask(port, "/")
    assert status == 200
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"default-src 'none'" in page
    for name, kind in (
      ("app.mjs", "text/javascript; charset=utf-8"),
      ("onnxruntime/wasm.wasm", "application/wasm"),
      ("models/stage0.onnx", "application/octet-stream"),
      ("samples/cat.jpg", "image/jpeg"),
    ):
      status, headers, content = ask(port, f"/{name}?again")
      assert (status, headers["Content-Type"]) == (200, kind)
      assert len(content) == int(headers["Content-Length"]) > 1000
      assert ask(port, f"/{name}", "HEAD")[2] == b""
    for name in ("/../pyproject.toml", "/nothing", "/onnxruntime-web.tar.xz"):
      assert ask(port, name)[0] == 404
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
  finally:
    process.kill()
  assert process.returncode == 0
  assert said == ""


def test_a_port_that_is_taken_is_one_line(capsys):
  with socket.socket() as other:
    other.bind(("127.0.0.1", 0))
    other.listen()
    port = other.getsockname()[1]
    assert web.main(["--port", str(port)]) == 2
  assert capsys.readouterr().err == (
    f"error: --port {port}: found one that another program uses, expected a free one, which "
    "--port 0 finds\n"
  )


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_one_line(port, capsys):
  assert web.main([f"--port={port}"]) == 2
  assert capsys.readouterr().err.startswith("error: --port")
