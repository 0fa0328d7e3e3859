"""Training runs of several processes on this machine, through train.py."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
# Enough steps for a signal to come between them, where steps are quick.
STEPS = {"autoencoder": 20, "gan": 8, "transfer": 8}
# The rates of the first steps of a training of default length. Adam turns the rounding error of a
# gradient near 0 into a step of full size, so with larger rates any two runs drift apart.
RATES = {
  "autoencoder": ("4e-4",),
  "gan": ("4e-5", "--critic-steps", "2"),
  "transfer": ("2e-4", "--disc-learning-rate", "4e-5"),
}


def make_folders(root: Path) -> None:
  """Folders of a few smooth photos and artworks."""
  rng = np.random.default_rng(0)
  for kind in ("content", "style"):
    (root / kind).mkdir()
    for i in range(5):
      small = Image.fromarray(rng.integers(0, 256, (6, 7, 3)).astype(np.uint8))
      small.resize((70 + i, 60), Image.Resampling.BICUBIC).save(root / kind / f"{i}.png")


def command(kind, folders, workdir, *more):
  content = ("--content-dir", str(folders / "content")) if kind != "gan" else ()
  return [
    kind,
    *content,
    "--style-dir",
    str(folders / "style"),
    "--workdir",
    str(workdir),
    "--preset",
    "tiny",
    "--batch",
    "16",
    "--size",
    "32",
    "--steps",
    str(STEPS[kind]),
    "--decay-fraction",
    "0",
    "--log-every",
    "1",
    "--grid-every",
    "0",
    "--learning-rate",
    *RATES[kind],
    *more,
  ]


def start_two(argv):
  """Starts two processes with four devices each, which connect over loopback."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
  env = os.environ | {"JAX_NUM_CPU_DEVICES": "4", "PYTHONPATH": str(ROOT)}
  return [
    subprocess.Popen(
      [
        sys.executable,
        str(ROOT / "train.py"),
        *argv,
        "--coordinator",
        address,
        "--processes",
        "2",
        "--process",
        str(i),
      ],
      env=env,
      text=True,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
    )
    for i in range(2)
  ]


def finish(processes):
  """The output of each process, after all have ended with status 0."""
  try:
    outputs = [process.communicate(timeout=300)[0] for process in processes]
  finally:
    for process in processes:
      process.kill()
  assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
  return outputs
