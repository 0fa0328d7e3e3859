"""The training command on packed images: equal to a run on the folder, bit for bit."""

import json

import jax
import numpy as np
import pytest
from PIL import Image
from small_runs import STEPS, flags

import train
from stylejax.training import loop


@pytest.fixture
def one_device(monkeypatch):
  monkeypatch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])


def train_on(folder, name, ending):
  """(losses, last grid, parameters) of an autoencoder, which reads both folders in one stream."""
  workdir = folder / name
  places = {
    "--workdir": workdir,
    "--content-dir": folder / f"content{ending}",
    "--style-dir": folder / f"style{ending}",
  }
  every = "--grid-every", str(STEPS), "--log-every", "1"
  options = [part for flag, place in places.items() for part in (flag, str(place))]
  assert train.main(["autoencoder", *flags("autoencoder"), *every, *options]) == 0
  losses = [json.loads(line)["loss"] for line in (workdir / "metrics.jsonl").open()]
  grid = (workdir / "grids" / f"step_{STEPS:07}.png").read_bytes()
  return losses, grid, loop.load_run(workdir)[1].params


def test_shards_train_as_their_folder(tmp_path, one_device, capsys):
  rng = np.random.default_rng(0)
  for kind in ("content", "style"):
    (tmp_path / kind).mkdir()
    for i in range(4):
      small = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
      image = Image.fromarray(small).resize((70 + i, 60), Image.Resampling.BICUBIC)
      image.save(tmp_path / kind / f"{i}.jpg")
  for kind, form in (("content", "tar"), ("style", "array_record")):
    places = "--input-dir", tmp_path / kind, "--output-dir", tmp_path / f"{kind}_shards"
    assert train.main(["shards", *map(str, places), "--format", form]) == 0
  # An image that goes bad after it was packed.
  shard = tmp_path / "content_shards" / "shard-00000.tar"
  data = shard.read_bytes()
  bad = (tmp_path / "content" / "2.jpg").read_bytes()
  shard.write_bytes(data.replace(bad, b"x" * len(bad)))
  (tmp_path / "content" / "2.jpg").write_bytes(b"not an image")

  runs = {}
  for name, ending in (("folders", ""), ("shards", "_shards")):
    runs[name] = train_on(tmp_path, name, ending)
    output = capsys.readouterr().out
    assert "skipped 1 unreadable file" in output
  assert "shard-00000.tar:00000002_2.jpg" in output
  for one, other in zip(*runs.values(), strict=True):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_shard_that_can_not_be_read_exits_2(tmp_path, capsys):
  shard = tmp_path / "x.tar"
  shard.write_bytes(b"not a tar file" * 100)
  for place, words in ((shard, "found a damaged tar file"), (f"{tmp_path}/*.array", "no shard")):
    assert (
      train.main(
        ["gan", "--preset", "tiny", "--style-dir", str(place), "--workdir", str(tmp_path / "run")]
      )
      == 2
    )
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1
