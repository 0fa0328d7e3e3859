"""Recipes: the same crops at any batch, as commands or run by one; stopped and continued."""

import json
import math
import shlex

import pytest
import tyro

from stylejax.cli import recipe as command
from stylejax.cli import train
from stylejax.training import loop
from stylejax.training.recipes import RECIPES, Part, Recipe, configs
from stylejax.training.task_configs import AutoencoderConfig, TransferConfig
from stylejax.training.tasks import TASKS

_TINY = {"preset": "tiny", "size": 32, "grid_every": 0, "log_every": 2}
TINY = Recipe(
  batch=16,
  largest_rate=1e-3,
  parts=(
    Part("first", AutoencoderConfig, 48, 1e-3, _TINY),
    Part("second", TransferConfig, 32, 1e-3, {**_TINY, "adversarial_weight": 0.0}),
  ),
)


def made(name, batch):
  return configs(RECIPES[name], batch=batch, content_dir="c", style_dir="s", workdir="w")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("batch", [64, 256, 4096])
def test_train_takes_the_settings(name, batch):
  before = None
  for config, part in zip(made(name, batch), RECIPES[name].parts, strict=True):
    config.check()
    assert (config.preset, config.batch, config.resume) == (name, batch, True)
    assert getattr(config, "init_from", None) == before
    before = config.workdir
    assert part.crops <= config.steps * batch < part.crops + batch


@pytest.mark.parametrize("name", RECIPES)
def test_the_schedule_is_that_of_any_batch(name):
  for small, big in zip(made(name, 16), made(name, 64), strict=True):
    assert big.learning_rate == pytest.approx(2 * small.learning_rate, rel=0.05)
    for config in (small, big):
      assert config.warmup_steps == pytest.approx(0.02 * config.steps, rel=0.01)
      assert config.ema_decay**config.steps == pytest.approx(math.exp(-100), rel=0.5)
  largest = max(config.learning_rate for config in made(name, 4096))
  assert largest <= RECIPES[name].largest_rate


@pytest.mark.parametrize("name", RECIPES)
def test_the_printed_commands_are_the_settings(name, capsys):
  arguments = ["recipe", name, "--content-dir", "a b", "--style-dir", "s", "--batch", "64"]
  assert train.main([*arguments, "--commands"]) == 0
  *lines, last = capsys.readouterr().out.splitlines()
  expected = configs(
    RECIPES[name], batch=64, content_dir="a b", style_dir="s", workdir=f"runs/{name}"
  )
  for line, config in zip(lines, expected, strict=True):
    program, word, task, *flags = shlex.split(line)
    assert (program, word) == ("stylejax", "train")
    assert tyro.cli(TASKS[task].config, args=flags) == config
  assert last == (
    f"stylejax train export --workdir {expected[-1].workdir} "
    f"--output runs/{name}/{name}.safetensors"
  )


def test_hosts_and_slices_are_those_of_every_part():
  options = command.RecipeConfig(
    "base", content_dir="c", style_dir="s", slices=2, accumulate=4, coordinator="first:1234",
    processes=3, process=1,
  )  # fmt: skip
  for config in command.parts(options):
    assert (config.slices, config.accumulate) == (2, 4)
    assert (config.coordinator, config.processes, config.process) == ("first:1234", 3, 1)


def test_a_recipe_runs_to_its_weights_and_continues_where_it_stopped(tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(RECIPES, "large", TINY)
  workdir = tmp_path / "runs"
  options = command.RecipeConfig(
    "large", content_dir=None, style_dir=None, workdir=str(workdir), batch=16
  )
  real = loop.train

  def stopped(config, **settings):
    return 0 if config.task == "transfer" else real(config, **settings)

  with monkeypatch.context() as patch:
    patch.setattr(loop, "train", stopped)
    command.run(options, spelling=train.INSTALLED)
  output = capsys.readouterr().out
  assert "first: saved at step 3" in output and "run the same command again" in output
  assert not (workdir / "large.safetensors").exists()
  command.run(options, spelling=train.INSTALLED)
  output = capsys.readouterr().out
  assert "first: already at step 3 of 3" in output and "second: saved at step 2" in output
  assert (workdir / "large.safetensors").stat().st_size > 0
  saved = json.loads((workdir / "second" / "config.json").read_text())
  assert saved["init_from"] == f"{workdir}/first"


def test_bad_options_are_refused_in_one_line(capsys):
  where = ["--content-dir", "c", "--style-dir", "s"]
  for arguments, words in (
    (["recipe", "large", *where, "--batch", "0"], "--batch: found 0, expected 1 or more"),
    (["recipe", "larg", *where], "recipe: found larg, expected base, large"),
    (["recipe", "large", *where], "--content-dir: found no folder"),
    (
      ["recipe", "large", *where, "--process", "0"],
      "--process: found without --coordinator and --processes, expected all three",
    ),
  ):
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1, error
