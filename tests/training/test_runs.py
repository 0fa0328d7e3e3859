"""Whole runs through the command line: resumed exactly, stopped politely, honest about mistakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image
from small_runs import STEPS, flags

import train
from stylejax.errors import InputError
from stylejax.training import checkpoint, loop
from stylejax.training.saved import from_saved, saved_config
from stylejax.training.tasks import TASKS, TransferConfig
from stylejax.weights.model_file import load_pretrained, load_weights, save_weights

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  """Folders of a few photos and artworks, one file of which is broken."""
  rng = np.random.default_rng(0)
  root = tmp_path_factory.mktemp("images")
  for kind in ("content", "style"):
    (root / kind / "nested").mkdir(parents=True)
    for i in range(5):
      small = rng.integers(0, 256, (6, 7, 3)).astype(np.uint8)
      image = Image.fromarray(small).resize((70 + i, 60), Image.Resampling.BICUBIC)
      image.save(root / kind / ("nested" if i % 2 else ".") / f"{i}.jpg")
  (root / "content" / "broken.jpg").write_bytes(b"not an image")
  return root


def command(folders, workdir, kind="transfer", *more):
  dirs = ["--style-dir", str(folders / "style")]
  if kind != "gan":
    dirs += ["--content-dir", str(folders / "content")]
  return [
    kind,
    *flags(kind),
    "--log-every",
    "1",
    "--grid-every",
    "0",
    *dirs,
    "--workdir",
    str(workdir),
    *more,
  ]


FEW_ON_PMAP = ("--steps", "3", "--critic-steps", "2", "--parallel", "pmap")
# Like `one_device` below: one of as many devices as the tests have, so that they share programs.
ON_ONE = (
  "import sys, jax; jax.devices = lambda *a: jax.local_devices()[:1]; import train; "
  "sys.exit(train.main())"
)


def start(argv, *command):
  command = command or (str(ROOT / "train.py"),)
  # One device, as on a laptop, which a batch of 4 suits.
  env = {
    **os.environ,
    "JAX_NUM_CPU_DEVICES": "8" if "-c" in command else "1",
    "PYTHONPATH": str(ROOT),
  }
  return subprocess.Popen(
    [sys.executable, *command, *argv],
    env=env,
    text=True,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
  )


def lines(workdir):
  path = workdir / "metrics.jsonl"
  return [json.loads(x) for x in path.read_text().splitlines()] if path.exists() else []


def wait_for_step(process, workdir, step):
  while process.poll() is None:
    actual = (
      [x for x in (workdir / "metrics.jsonl").read_text().splitlines() if x.endswith("}")]
      if (workdir / "metrics.jsonl").exists()
      else []
    )
    if actual and json.loads(actual[-1])["step"] >= step:
      return
    time.sleep(0.02)
  raise AssertionError(process.communicate()[0])


def test_killed_and_resumed_is_never_killed(folders, tmp_path, one_device, capsys):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  more = ("--save-every", "3")
  assert train.main(command(folders, whole, "transfer", *more)) == 0
  output = "".join(capsys.readouterr())
  assert "skipped 1 unreadable file" in output
  assert output.count("broken.jpg") == 1

  process = start(command(folders, killed, "transfer", *more), "-c", ON_ONE)
  wait_for_step(process, killed, 8)
  process.send_signal(signal.SIGKILL)
  process.wait()
  assert 0 < checkpoint.newest_step(killed) < STEPS
  assert train.main(command(folders, killed, "transfer", *more, "--resume")) == 0

  expected, actual = (loop.load_run(w)[1] for w in (whole, killed))
  assert int(actual.step) == STEPS
  for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(actual)):
    np.testing.assert_array_equal(a, b)
  assert [x["step"] for x in lines(killed)] == [x["step"] for x in lines(whole)]
  drop = lambda x: {k: v for k, v in x.items() if k != "images_per_second"}  # noqa: E731
  assert [drop(x) for x in lines(killed)] == [drop(x) for x in lines(whole)]


def test_sigterm_saves_and_exits_cleanly(folders, tmp_path):
  workdir = tmp_path / "run"
  process = start(command(folders, workdir, "autoencoder", "--steps", "100000"))
  wait_for_step(process, workdir, 5)
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 0, output
  step = int(loop.load_run(workdir)[1].step)
  assert step >= 5
  assert f"saved at step {step} of 100000; continue with --resume" in output


@pytest.fixture
def one_device(monkeypatch):
  monkeypatch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])


def trained(folders, workdir, kind, *more):
  """The folder of a finished run on one device."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "devices", lambda *a: jax.local_devices()[:1])
    assert train.main(command(folders, workdir, kind, *more)) == 0
  return workdir


@pytest.fixture(scope="module")
def autoencoder_run(folders, tmp_path_factory):
  """An autoencoder's run, not to be changed."""
  return trained(folders, tmp_path_factory.mktemp("runs") / "run", "autoencoder")


@pytest.fixture(scope="module")
def gan_run(folders, tmp_path_factory):
  """A GAN's run, not to be changed."""
  return trained(folders, tmp_path_factory.mktemp("runs") / "run", "gan", *FEW_ON_PMAP)


def test_every_command_end_to_end(folders, autoencoder_run, gan_run, tmp_path, one_device, capsys):
  """autoencoder → transfer → gan → export, in this process; losses are finite and by name."""
  assert (
    train.main(
      command(
        folders,
        tmp_path / "t",
        "transfer",
        "--grid-every",
        str(STEPS),
        "--init-from",
        str(autoencoder_run),
      )
    )
    == 0
  )
  expected = {
    autoencoder_run: (STEPS, {"l1", "multiscale"}),
    gan_run: (3, {"disc", "penalty"}),
    tmp_path / "t": (STEPS, {"content", "style", "identity", "tv", "disc"}),
  }
  for run, (count, losses) in expected.items():
    actual = lines(run)
    assert [x["step"] for x in actual] == list(range(1, count + 1))
    assert {"step", "loss"} | losses <= set(actual[-1])
    assert (run / "config.json").exists()
    assert any((run / "tensorboard").iterdir())
  assert Image.open(tmp_path / "t" / "grids" / f"step_{STEPS:07}.png").size == (4 * 64, 4 * 64)

  weights = tmp_path / "mine.safetensors"
  assert train.main(["export", "--workdir", str(tmp_path / "t"), "--output", str(weights)]) == 0
  import stylejax

  params = stylejax.load_pretrained(weights)
  assert params.noise_generator is None
  state = loop.load_run(tmp_path / "t")[1]
  for a, b in zip(jax.tree.leaves(params.generator), jax.tree.leaves(state.ema_params.generator)):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_newcomers_first_training_learns(tmp_path, one_device):
  """The command of README without folders: the package's own images, and a loss that falls."""
  assert (
    train.main(
      [
        "transfer",
        "--preset",
        "tiny",
        "--steps",
        "60",
        "--size",
        "32",
        "--batch",
        "4",
        "--log-every",
        "5",
        "--workdir",
        str(tmp_path / "run"),
      ]
    )
    == 0
  )
  losses = [x["loss"] for x in lines(tmp_path / "run")]
  assert len(losses) == 12
  assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:2])


def test_init_from_a_gan_is_refused(folders, gan_run, tmp_path, one_device, capsys):
  argv = command(folders, tmp_path / "t", "transfer", "--init-from", str(gan_run))
  assert train.main(argv) == 2
  assert "--init-from: found a gan run" in capsys.readouterr().err


def test_resuming_with_another_batch_is_refused(
  folders, autoencoder_run, tmp_path, one_device, capsys
):
  argv = command(folders, shutil.copytree(autoencoder_run, tmp_path / "run"), "autoencoder")
  assert train.main([*argv, "--steps", str(STEPS + 2), "--resume", "--batch", "8"]) == 2
  assert "--batch: found 8, expected 4" in capsys.readouterr().err


def test_init_from_an_autoencoder_takes_its_weights(autoencoder_run, one_device):
  learnt = loop.load_run(autoencoder_run)[1].ema_params
  config = TransferConfig(preset="tiny", init_from=autoencoder_run)
  fresh = jax.jit(lambda: loop.init_state(config))()
  state = loop._with_weights_of(loop._load_weights(autoencoder_run, None), fresh)
  for a, b in (
    (learnt.content_encoder, state.params.content_encoder),
    (learnt.generator["decoder"], state.params.generator["decoder"]),
  ):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_init_from_a_weights_file_takes_all_it_has(tmp_path, tiny_params):
  weights = tmp_path / "mine.safetensors"
  save_weights(weights, tiny_params.replace(noise_generator=None), dtype="float32")
  config = TransferConfig(preset="tiny", seed=1)
  fresh = jax.jit(lambda: loop.init_state(config))()
  state = loop._with_weights_of(loop._load_weights(weights, load_weights), fresh)
  for params in (state.params, state.ema_params):
    for part in ("content_encoder", "style_encoder", "generator", "discriminator"):
      jax.tree.map(np.testing.assert_array_equal, getattr(params, part), getattr(tiny_params, part))
  for name in ("base", "base-1"):
    with pytest.raises(InputError, match=rf"--init-from: found other sizes \(.* --preset {name}\)"):
      loop._with_weights_of(loop._load_weights(Path(name), load_pretrained), fresh)


def test_a_loss_that_is_not_finite_stops_with_the_step_named(folders, tmp_path, one_device, capsys):
  workdir = tmp_path / "run"
  argv = command(folders, workdir, "autoencoder", "--save-every", "2")
  assert train.main(argv) == 0
  assert train.main([*argv, "--steps", "60", "--learning-rate", "1e38", "--resume"]) == 1
  error = capsys.readouterr().err
  assert error.startswith("error: step ") and "expected a finite number" in error
  state = loop.load_run(workdir)[1]
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))


def test_a_second_run_does_not_overwrite_the_first(
  folders, autoencoder_run, tmp_path, one_device, capsys
):
  argv = command(folders, shutil.copytree(autoencoder_run, tmp_path / "run"), "autoencoder")
  assert train.main(argv) == 2
  assert "--resume" in capsys.readouterr().err


def test_dry_run_prints_and_writes_nothing(folders, tmp_path, one_device, capsys):
  argv = command(folders, tmp_path / "run", "transfer", "--dry-run")
  assert train.main(argv) == 0
  output = capsys.readouterr().out
  for word in ("style_encoder", "parameters", "GFLOP", "MiB"):
    assert word in output
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  "argv, message",
  [
    (["transfer", "--content-dir", "{tmp}/none"], "--content-dir"),
    (["transfer", "--content-dir", "{tmp}"], "--content-dir: found no image"),
    (["gan", "--style-dir", "{tmp}/file.txt"], "--style-dir"),
    (["transfer", "--size", "100"], "--size: found 100, expected a multiple of 16"),
    (
      ["transfer", "--size", "64", "--perceptual-size", "80"],
      "--perceptual-size: found 80, expected a multiple of 16 from 32 to --size",
    ),
    (["transfer", "--batch", "0"], "--batch: found 0, expected 1 or more"),
    (["transfer", "--batch", "5"], "--batch: found 5, expected a multiple of 2"),
    (["transfer", "--style-weight", "nan"], "--style-weight: found nan, expected a finite number"),
    (["transfer", "--clip-norm", "0"], "--clip-norm: found 0.0"),
    (["transfer", "--decay-fraction", "1.5"], "--decay-fraction: found 1.5, expected 0 to 1"),
    (["transfer", "--style-scale", "2", "1"], "--style-scale"),
    (["transfer", "--preset", "huge"], "huge"),
    (["transfer", "--model-sizes", "depth=3"], "--model-sizes: found 'depth=3'"),
    (["transfer", "--model-sizes", "style_dim=big"], "--model-sizes: found 'style_dim=big'"),
    (["transfer", "--model-sizes", "content_widths=8"], "--model-sizes: content_widths"),
    (["transfer", "--steps", "many"], "many"),
    (["transfer", "--vgg", "{tmp}/file.txt"], "file.txt"),
    (["transfer", "--init-from", "{tmp}"], "config.json"),
    (["export", "--workdir", "{tmp}", "--output", "{tmp}/x.safetensors"], "config.json"),
    (["export", "--workdir", "{tmp}", "--output", "{tmp}/x.pth"], "expected a name ending in"),
  ],
)
def test_mistakes_exit_2_in_one_line(argv, message, tmp_path, one_device, capsys):
  (tmp_path / "file.txt").write_text("text")
  argv = [a.replace("{tmp}", str(tmp_path)) for a in argv]
  if argv[0] != "export":
    argv += ["--workdir", str(tmp_path / "run")]
    argv += [] if "--preset" in argv else ["--preset", "tiny"]
  try:
    code = train.main(argv)
  except SystemExit as stop:
    code = stop.code
  error = capsys.readouterr().err
  assert code == 2
  assert message in error
  assert "Traceback" not in error
  # What doesn't parse at all is reported in the parser's own box.
  assert error.count("\n") == 1 or message in ("huge", "many")
  assert not list(tmp_path.glob("*.safetensors"))


def test_saved_configs_come_back(tmp_path):
  for task in TASKS.values():
    config = task.config(
      workdir=tmp_path,
      seed=3,
      content_dir="photos",
      size=64,
      model_sizes=("style_dim=24", "style_widths=8,8,16"),
    )
    assert config.model.style_dim == 24 and config.model.style_widths == (8, 8, 16)
    (tmp_path / "config.json").write_text(config.to_json())
    assert from_saved(saved_config(tmp_path)) == config
