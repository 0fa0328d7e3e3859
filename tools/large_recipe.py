"""Prints the commands that train `large` on COCO and WikiArt, their schedule scaled to the batch.

    python tools/large_recipe.py --batch 256
    python tools/large_recipe.py --batch 2048 --workdir /mnt/runs/large > train.sh

A recipe that was never run: nobody has trained `large`. Its losses are those that `base` ended
with; docs/pod.md says what it costs.
"""

import dataclasses
import math

import tyro

# (batch, step size) that trained `base` at 128 pixels, and the largest step size that is dared.
_KNOWN_BATCH, _KNOWN_RATE, _LARGEST_RATE = 4, 1e-3, 4e-3

# Of the last part that `base` was trained in (the model card).
_LOSSES = (
  "--content-weight 1.8 --detail-weight 1.5 --structure-weight 3.8 --style-weight 48 "
  "--pyramid-weight 45 --color-weight 1 --spurious-edge-weight 5 --resnet-weight 420 "
  "--resnet-content-weight 8 --identity-weight 15 --adversarial-weight 0.3"
)


@dataclasses.dataclass(frozen=True)
class Part:
  """One command of `stylejax train`.

  Attributes:
    name: of the folder of its run.
    crops: photos and artworks, each, that it sees.
    rate: its step size, as a share of the first one's.
    settings: what differs from the defaults.
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
  """Prints the commands, one after another; start each again with the same words to go on."""

  batch: int = 256
  """Images of each kind per step, over all chips; 16 a chip fit anywhere (docs/pod.md)."""
  content: str = "coco_shards"
  """Photos, as --content-dir of `stylejax train`: COCO's train2017 has 118,000."""
  style: str = "wikiart_shards"
  """Artworks, as --style-dir: WikiArt has 80,000."""
  workers: int = 32
  """Processes of each host that decode images; docs/pod.md says how many a chip needs."""
  workdir: str = "runs/large"
  """Folder for the folders of the runs, the same for all hosts."""


def commands(options: Options) -> list[str]:
  """The parts, each as one line for a shell.

  Every batch sees the same crops. The step size grows with the root of the batch, as Adam's noise
  asks (Malladi et al. 2022, arXiv:2205.10287), up to a limit; warm-up, decay and the average of the
  weights are shares of the run.
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
  """Prints them, and how the result is exported."""
  print(*commands(options), sep="\n")
  print(
    f"stylejax train export --workdir {options.workdir}/{PARTS[-1].name} --output large.safetensors"
  )


if __name__ == "__main__":
  main(tyro.cli(Options, description=__doc__))
