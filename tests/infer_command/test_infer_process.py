"""infer.py as people start it: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "stylejax" / "assets" / "samples"


class TestProcess:
  """As a person starts it, from another folder."""

  def start(self, *arguments, cwd, cache=""):
    environment = os.environ | {"STYLEJAX_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
      [sys.executable, str(ROOT / "infer.py"), *map(str, arguments)],
      cwd=cwd,
      env=environment,
      capture_output=True,
      text=True,
      timeout=300,
    )

  def test_samples_and_a_cache_that_gets_damaged(self, weights, tmp_path):
    photo, cache = SAMPLES / "content" / "cat.jpg", tmp_path / "cache"
    images = []
    for _ in range(2):
      result = self.start(
        "--content",
        photo,
        "--style",
        SAMPLES / "style" / "irises.jpg",
        "--output",
        "out.png",
        "--weights",
        weights,
        cwd=tmp_path,
        cache=cache,
      )
      assert (result.returncode, result.stderr) == (0, "")
      images.append(np.asarray(Image.open(tmp_path / "out.png")))
      programs = [*cache.glob("programs/generate*.program")]
      assert len(programs) == 1 and programs[0].stat().st_size > 1000
      # Ours, and those in JAX's own cache, about which JAX would warn at every start.
      others = [*cache.glob("jit_*-cache")]
      assert others
      for path in programs + others:
        path.write_bytes(path.read_bytes()[:500])
    assert images[0].shape[:2] == Image.open(photo).size[::-1]
    np.testing.assert_array_equal(*images)

  def test_bad_input_is_one_line_without_traceback(self, weights, tmp_path):
    result = self.start(
      "--content",
      "no.png",
      "--style",
      "no.png",
      "--output",
      "out.png",
      "--weights",
      weights,
      cwd=tmp_path,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []

  def test_help_teaches_and_does_not_wait_for_jax(self, tmp_path):
    code = (
      "import sys; sys.path.insert(0, sys.argv.pop()); import infer\n"
      "try:\n  infer.main(['--help'])\nexcept SystemExit as e:\n"
      "  assert not e.code and 'jax' not in sys.modules"
    )
    result = subprocess.run(
      [sys.executable, "-c", code, str(ROOT)],
      cwd=tmp_path,
      capture_output=True,
      text=True,
      timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "python infer.py --content photo.jpg --style painting.jpg --output" in result.stdout
