"""The recipe of `large`: commands for `stylejax train`; they see the same crops at any batch."""

import importlib.util
import math
import shlex
from pathlib import Path

import pytest
import tyro

from stylejax.training.tasks import TASKS

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("large_recipe", ROOT / "tools/large_recipe.py")
recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipe)


def configs(batch):
  """The configs that `stylejax train` makes from the commands."""
  actual = []
  for line in recipe.commands(recipe.Options(batch=batch)):
    program, train, command, *flags = shlex.split(line)
    assert (program, train) == ("stylejax", "train")
    actual.append(tyro.cli(TASKS[command].config, args=flags))
  return actual


@pytest.mark.parametrize("batch", [64, 256, 4096])
def test_train_takes_the_commands(batch):
  before = None
  for config, part in zip(configs(batch), recipe.PARTS, strict=True):
    config.check()
    assert (config.preset, config.batch, config.resume) == ("large", batch, True)
    assert getattr(config, "init_from", None) == before
    before = config.workdir
    assert part.crops <= config.steps * batch < part.crops + batch


def test_the_schedule_is_that_of_any_batch():
  for small, big in zip(configs(16), configs(64), strict=True):
    assert big.learning_rate == pytest.approx(2 * small.learning_rate)
    for config in (small, big):
      assert config.warmup_steps == pytest.approx(0.02 * config.steps, rel=0.01)
      assert config.ema_decay**config.steps == pytest.approx(math.exp(-100), rel=0.5)
  assert max(config.learning_rate for config in configs(4096)) <= 4e-3
