"""The tables of tasks and loss terms: complete, and old names read through an alias."""

import dataclasses

import pytest

import train
from stylejax.errors import InputError
from stylejax.training import terms
from stylejax.training.config import RENAMED
from stylejax.training.loop import load_frozen
from stylejax.training.tasks import TASKS, TransferConfig


def test_every_term_has_a_weight_and_every_weight_a_term():
  weights = {
    field.name for field in dataclasses.fields(TransferConfig) if field.name.endswith("_weight")
  }
  assert weights - {"penalty_weight"} == {f"{term.name}_weight" for term in terms.TERMS}


def test_terms_of_weight_0_are_left_out():
  config = TransferConfig(style_weight=0.0, pyramid_weight=1.0)
  names = {term.name for term in terms.active_terms(config)}
  assert "style" not in names and "pyramid" in names and "gram" not in names


def test_the_second_net_is_there_when_a_term_looks_through_it():
  assert TransferConfig().perceptual_nets == ("vgg16",)
  assert TransferConfig(resnet_content_weight=1.0).perceptual_nets == ("vgg16", "resnet50")


@pytest.mark.parametrize("flags", [["--teacher", "base"], ["--teacher-weight", "5"]])
def test_a_teacher_and_its_weight_come_together(flags, capsys):
  assert train.main(["transfer", "--content-dir", "a", "--style-dir", "b", *flags]) == 2
  assert "--teacher-weight: found" in capsys.readouterr().err


def test_a_teacher_without_all_that_stylizes_is_one_line(tiny_params, tmp_path):
  path = tmp_path / "half.safetensors"
  path.touch()
  half = tiny_params.replace(style_encoder=None)
  config = TransferConfig(content_weight=0, style_weight=0, teacher=str(path), teacher_weight=1)
  with pytest.raises(InputError, match="--teacher: found weights without style_encoder"):
    load_frozen(config, read_weights=lambda _: half)


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_flags_of_version_0_1_name_the_new_one(old, new, capsys):
  assert new in {field.name for task in TASKS.values() for field in dataclasses.fields(task.config)}
  flag = f"--{old}".replace("_", "-")
  assert train.main(["transfer", f"{flag}=1"]) == 2
  assert f"expected --{new.replace('_', '-')}" in capsys.readouterr().err
