"""A folder shared by processes: each file once, one summary; a second run does what is missing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import infer
import stylejax
from stylejax.inference.batch import Request, stylize_files

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
  """A folder of 5 images, a style and the smallest weights of NumPy's random numbers."""
  root, rng = tmp_path_factory.mktemp("shared"), np.random.default_rng(0)
  (root / "photos").mkdir()
  for name in ("photos/0", "photos/1", "photos/2", "photos/3", "photos/4", "style"):
    pixels = rng.integers(0, 256, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(root / f"{name}.png")
  shapes = jax.eval_shape(lambda: stylejax.init_params(jax.random.key(0), stylejax.PRESETS["tiny"]))
  stylejax.save_weights(
    root / "w.safetensors",
    jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes),
  )
  return root


def arguments(files, output, *more):
  return [
    "--content",
    str(files / "photos"),
    "--style",
    str(files / "style.png"),
    "--output",
    str(output),
    "--weights",
    str(files / "w.safetensors"),
    *more,
  ]


def test_shares_are_the_whole_and_do_not_meet(files, tmp_path):
  written = [
    stylize_files(
      Request(
        content=[files / "photos"],
        style=[files / "style.png"],
        output=tmp_path / "o",
        weights=files / "w.safetensors",
      ),
      process=(process, 7),
    ).written
    for process in range(7)
  ]
  names = [path.name for share in written for path in share]
  assert sorted(names) == [f"{n}_style.png" for n in range(5)] == sorted(os.listdir(tmp_path / "o"))
  assert [len(share) for share in written] == [1] * 5 + [0] * 2


def test_a_resumed_run_does_only_what_is_missing(files, tmp_path, capsys):
  output = tmp_path / "o"
  assert infer.main(arguments(files, output)) == 0
  before = {path: path.read_bytes() for path in output.iterdir()}
  (output / "1_style.png").unlink()
  (output / "3_style.png").write_bytes(b"of another run, but whole")
  times = {path: path.stat().st_mtime_ns for path in output.iterdir()}
  capsys.readouterr()
  assert infer.main(arguments(files, output, "--resume")) == 0
  assert capsys.readouterr().out.startswith(f"wrote {output / '1_style.png'} in")
  assert (output / "1_style.png").read_bytes() == before[output / "1_style.png"]
  assert {path: path.stat().st_mtime_ns for path in times} == times
  assert infer.main(arguments(files, output, "--resume")) == 0
  assert capsys.readouterr().out.startswith("wrote 0 images")


@pytest.mark.processes
def test_two_processes_one_summary(files, tmp_path):
  (tmp_path / "bad").mkdir()
  (tmp_path / "bad" / "bad.png").write_bytes(b"no image")
  with socket.socket() as free:
    free.bind(("localhost", 0))
    port = free.getsockname()[1]
  environment = os.environ | {"PYTHONPATH": str(ROOT), "STYLEJAX_CACHE": ""}
  command = [sys.executable, str(ROOT / "infer.py"), *arguments(files, tmp_path / "o")]
  command[3:3] = [str(tmp_path / "bad")]
  running = [
    subprocess.Popen(
      [*command, "--coordinator", f"localhost:{port}", "--processes", "2", "--process", str(n)],
      env=environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for n in range(2)
  ]
  results = [(*process.communicate(timeout=300), process.returncode) for process in running]
  assert [code for *_, code in results] == [1, 1]
  assert sorted(os.listdir(tmp_path / "o")) == [f"{n}_style.png" for n in range(5)]
  assert "wrote 5 images in" in results[0][0] and "wrote" not in results[1][0]
  assert "by 2 processes, 1 skipped" in results[0][0]
  assert "Traceback" not in results[0][1] + results[1][1]


@pytest.mark.parametrize(
  "more, message",
  [
    (["--processes", "2"], "--processes: found without --coordinator and --process"),
    (["--coordinator", "host", "--processes", "2", "--process", "0"], "expected HOST:PORT"),
    (["--coordinator", "host:1", "--processes", "2", "--process", "2"], "found 2, expected 0 to 1"),
  ],
)
def test_mistakes_are_one_line(files, tmp_path, capsys, more, message):
  assert infer.main(arguments(files, tmp_path / "o", *more)) == 2
  error = capsys.readouterr().err
  assert message in error and error.count("\n") == 1
  assert list(tmp_path.iterdir()) == []
