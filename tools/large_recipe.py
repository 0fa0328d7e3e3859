"""Prints the commands that train `large` on COCO and WikiArt, their schedule scaled to the batch.

    python tools/large_recipe.py --batch 256
    python tools/large_recipe.py --batch 2048 --workdir /mnt/runs/large > train.sh

The recipe was never run: nobody has trained `large`. Its losses are those with which the training
of `base` ended; docs/pod.md says what it costs.
"""

import dataclasses
import math

import tyro

# Batch and step size that trained `base` at 128 pixels, and a cautious upper limit of step sizes.
_KNOWN_BATCH, _KNOWN_RATE, _LARGEST_RATE = 4, 1e-3, 4e-3

# Losses of the last part of the training of `base` (see the model card).
_LOSSES = (
  "--content-weight 1.8 --detail-weight 1.5 --structure-weight 3.8 --style-weight 48 "
  "--pyramid-weight 45 --color-weight 1 --spurious-edge-weight 5 --resnet-weight 420 "
  "--resnet-content-weight 8 --identity-weight 15 --adversarial-weight 0.3"
)


@dataclasses.dataclass(frozen=True)
class Part:
  """One command of `stylejax train`.

  Attributes:
    command: name of the training.
    name: name of its run's folder.
    crops: number of photos, and of artworks, that it sees.
    rate: its step size, relative to the first part's.
    settings: flags that differ from the defaults.
  """

  command: str
  name: str
  crops: int
  rate: float
  settings: str


PARTS = (
  Part("autoencoder", "autoencoder", 1_000_000, 1.0, "--size 128"),
  Part("transfer", "small", 4_000_000, 1.0, "--size 128 --style-repeat 1 --style-weight 60"),
  Part(
    "transfer",
    "full",
    12_000_000,
    0.5,
    "--size 256 --perceptual-size 192 --style-repeat 1 --content-scale 1 1.25 --style-scale 1 1.25 "
    + _LOSSES,
  ),
)


@dataclasses.dataclass(frozen=True)
class Options:
  """Prints the commands in order; run one again with the same arguments to resume it."""

  batch: int = 256
  """Images of each kind per step, over all chips; 16 a chip fit anywhere (docs/pod.md)."""
  content: str = "coco_shards"
  """Photos, for --content-dir of `stylejax train`: COCO's train2017 has 118,000."""
  style: str = "wikiart_shards"
  """Artworks, for --style-dir: WikiArt has 80,000."""
  workers: int = 32
  """Processes on each host that decode images; docs/pod.md says how many a chip needs."""
  workdir: str = "runs/large"
  """Parent of the runs' folders, the same for all hosts."""


def commands(options: Options) -> list[str]:
  """The parts, each as one shell command line.

  The number of crops is the same for every batch size. The step size grows with the square root of
  the batch, as Adam's noise requires (Malladi et al. 2022, arXiv:2205.10287), up to a limit;
  warm-up, decay and the average of the weights are fractions of the run.
  """
  rate = min(_KNOWN_RATE * math.sqrt(options.batch / _KNOWN_BATCH), _LARGEST_RATE)
  lines, before = [], ""
  for part in PARTS:
    steps = math.ceil(part.crops / options.batch)
    saved = max(1, steps // 50)
    lines.append(
      f"stylejax train {part.command} --preset large --batch {options.batch} {part.settings} "
      f"--steps {steps} --learning-rate {part.rate * rate:.2g} "
      f"--warmup-steps {max(1, steps // 50)} --decay-fraction 0.5 "
      f"--ema-decay {max(0.0, 1 - 100 / steps):.5g} --save-every {saved} "
      f"--content-dir {options.content} --style-dir {options.style}{before} "
      f"--workers {options.workers} --workdir {options.workdir}/{part.name} --resume"
    )
    before = f" --init-from {options.workdir}/{part.name}"
  return lines


def main(options: Options) -> None:
  """Prints the commands, and the one that exports the result."""
  print(*commands(options), sep="\n")
  print(
    f"stylejax train export --workdir {options.workdir}/{PARTS[-1].name} --output large.safetensors"
  )


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
