"""One exported file: what it says about itself, and that it stylizes where there is only JAX."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile

import jax
import jaxlib
import numpy as np
import pytest

import infer
from stylejax import transfer
from stylejax.deploy import export as exporting
from stylejax.deploy import trials
from stylejax.deploy.support_window import reading_window
from stylejax.errors import InputError

# What somebody without stylejax runs; a name that is None in sys.modules can't be imported.
STRANGER = """
import sys
for name in ("stylejax", "flax", "optax", "orbax", "grain"):
  sys.modules[name] = None
import numpy as np
arrays = np.load("in.npz")
{use}
for name in ("a", "b"):
  content, style = arrays[name], arrays["style"]
  np.save(name, stylize(content, style, np.float32(0.7)))
"""


@pytest.fixture(scope="module")
def exported(tiny_params, tmp_path_factory):
  """(file, manifest) of the smallest preset."""
  path = tmp_path_factory.mktemp("export") / "tiny.zip"
  return path, exporting.export(tiny_params, path, sizes=((24, 17),))


def test_a_program_with_only_jax_paints_the_same_at_any_size(exported, tiny_params, rng, tmp_path):
  path, manifest = exported
  shapes = {"a": (1, 37, 53, 3), "b": (2, 32, 16, 3), "style": (19, 30, 3)}
  arrays = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
  np.savez(tmp_path / "in.npz", **arrays)
  (tmp_path / path.name).write_bytes(path.read_bytes())
  use = "\n".join(manifest["use"][:-1])
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  result = subprocess.run(
    [sys.executable, "-P", "-c", STRANGER.format(use=use)],
    cwd=tmp_path,
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert (result.returncode, result.stderr) == (0, "")
  for name in "ab":
    expected = jax.jit(transfer.stylize)(tiny_params, arrays[name], arrays["style"], strength=0.7)
    np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), expected, atol=1e-5)


def test_nets_of_coarse_cells_come_out_the_same_from_two_cells_on(coarse_params, tmp_path):
  sizes = ((33, 33), (40, 71))
  manifest = exporting.export(coarse_params, tmp_path / "coarse.zip", sizes=sizes)
  assert manifest["smallest_side"] == 33
  differences = manifest["max_difference"]
  assert set(differences) >= {"2×33×33", "2×40×71"}
  assert all(0 < difference < 1e-5 for difference in differences.values())


def test_the_manifest_is_true(exported, tiny_params):
  path, manifest = exported
  with zipfile.ZipFile(path) as file:
    assert json.loads(file.read("manifest.json")) == manifest
    program = file.read("stylize.bin")
  assert manifest["bytes"] == len(program)
  assert manifest["sha256"] == hashlib.sha256(program).hexdigest()
  assert manifest["platforms"] == ["cpu", "cuda", "tpu"]
  assert manifest["readable_by_jax"] == reading_window(jax.__version__, jaxlib.__version__)
  assert jax.export.deserialize(bytearray(program)).platforms == ("cpu", "cuda", "tpu")
  assert 0 <= manifest["max_difference"]["2×24×17"] < 1e-5
  assert manifest["config"] == tiny_params.config.to_dict()


def test_the_command_says_until_when_it_can_be_read(exported, tmp_path, monkeypatch, capsys):
  path, manifest = exported
  window = {"released_from": "2026-05-27", "released_until": "2026-12-17", "oldest_tried": "0.8.2"}
  monkeypatch.setattr(
    exporting, "export", lambda params, output, **settings: manifest | {"readable_by_jax": window}
  )
  assert infer.main(["export", "--output", str(path)]) == 0
  assert (
    "  JAX promises to read it with releases from 2026-05-27 to 2026-12-17 (the oldest that did: "
    "0.8.2); later ones may need jax_export_deserialize_expired_versions\n"
  ) in capsys.readouterr().out


def test_a_wrong_program_is_not_passed_off(exported, tiny_params):
  with zipfile.ZipFile(exported[0]) as file:
    program = file.read("stylize.bin")
  other = jax.tree.map(lambda leaf: 1.01 * leaf, tiny_params)
  with pytest.raises(InputError, match="found a difference of"):
    trials.differences("stylize", exporting.loaded(program), other, [(24, 17)], 1e-5)


def test_halves_and_frames_are_programs_too(tiny_params, tmp_path):
  """Each is compared with the package before it is written, here on small images."""
  for name, outputs in (
    ("encode_style", {"code": [16]}),
    ("paint", {"stylized": ["b", "h", "w", 3]}),
    ("next_frame", {"image": ["h", "w", 3], "stylized": ["h", "w", 3], "moments": [128]}),
  ):
    path = tmp_path / f"{name}.zip"
    manifest = exporting.export(
      tiny_params, path, function=name, platforms=("cpu",), sizes=((24, 17),)
    )
    assert max(manifest["max_difference"].values()) < 1e-5
    assert {key: value["shape"] for key, value in manifest["outputs"].items()} == outputs
    with zipfile.ZipFile(path) as file:
      assert file.namelist() == [f"{name}.bin", "manifest.json"]


@pytest.mark.parametrize(
  "change, message",
  [
    ({"output": "a.bin"}, "found extension '.bin', expected .zip or .onnx"),
    ({"output": "no/a.zip"}, "found no such folder"),
    ({"platforms": ("cpu", "npu")}, "platforms: found npu, expected some of cpu"),
    ({"function": "draw"}, "function: found 'draw', expected one of stylize, encode_style, paint"),
    ({"platforms": ()}, "platforms: found none"),
    ({"without": "generator"}, "params: found no generator"),
    (
      {"sizes": ((64, 64), (16, 8))},
      "sizes: found (16, 8), expected pairs (H, W) of whole numbers of at least 16",
    ),
    ({"sizes": (64, 64)}, "sizes: found 64, expected pairs"),
    ({"sizes": ((64.0, 64),)}, "sizes: found (64.0, 64), expected pairs"),
    ({"sizes": ((64, 64, 3),)}, "sizes: found (64, 64, 3), expected pairs"),
  ],
)
def test_mistakes_leave_nothing(tiny_params, tmp_path, change, message):
  params = tiny_params.replace(**{change["without"]: None}) if "without" in change else tiny_params
  with pytest.raises(exporting.InputError, match=re.escape(message)):
    exporting.export(
      params,
      tmp_path / change.get("output", "a.zip"),
      function=change.get("function", "stylize"),
      platforms=change.get("platforms", ("cpu",)),
      sizes=change.get("sizes"),
    )
  assert list(tmp_path.iterdir()) == []
