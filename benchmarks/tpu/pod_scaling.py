"""How does a train step scale from 4 to 256 chips, by the compiler's account and a roofline?

    python -m benchmarks pod_scaling --cache runs/pod

Weak scaling keeps the batch of each chip, strong scaling that of all chips. Efficiency is images/s
per chip over those of the smallest slice. Nothing is measured; see `benchmarks.tpu.pod`.

Each batch per chip is compiled once, for the largest slice: a chip's program and the sizes of its
collectives depend on that batch alone, and only what the collectives cost depends on the slice.
For several slices, use `python -m benchmarks pod --slices 1 2 4`.
"""

import dataclasses

import jax

from benchmarks.harness import command_line, records
from benchmarks.tpu import pod, programs, slices, steps
from stylejax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Options(steps.StepOptions):
  """What to compile, and where to save the result."""

  topologies: tuple[str, ...] = ("v5e:2x2", "v5e:4x4", "v5e:8x8", "v5e:16x16")
  """Slices of one kind, from small to large."""
  weak: int = pod.PER_CHIP
  """Images per step on each chip, for weak scaling."""
  strong: int = 512
  """Images per step on all chips together, for strong scaling."""


def main(options: Options) -> None:
  """Prints the table and saves the result."""
  jax.config.update("jax_platforms", "cpu")
  places = [slices.find_slice(name) for name in options.topologies]
  largest = len(places[-1].devices)
  facts, all_rows = {}, []
  for scaling in ("weak", "strong"):
    rows = []
    for place in places:
      count = len(place.devices)
      batch = options.weak * place.chips if scaling == "weak" else options.strong
      config = steps.step_config(options, place, batch)
      each = batch // count
      if each not in facts:
        whole = dataclasses.replace(config, batch=each * largest)
        try:
          facts[each] = steps.step_facts(options, whole, places[-1])
        except programs.DoesNotFit:
          raise InputError(
            f"--{scaling}: found {each} images on a chip of {place.name}, which "
            "don't fit, expected fewer"
          ) from None
      rows.append(steps.row(options, config, place, facts[each]) | {"scaling": scaling})
    all_rows += steps.with_efficiency(rows)
  records.report(
    "pod_scaling", options, {"rows": all_rows, "sources": pod.sources(all_rows)}, show=show
  )


def show(result: dict) -> None:
  """Prints one line per row."""
  for row in result["rows"]:
    print(
      f"{row['scaling']:6} {row['topology']:10} {row['chips']:4} chips, batch "
      f"{row['batch']:5}: {row['images_per_second']:10,.0f} images/s, efficiency "
      f"{row['efficiency']:.2f}, communication {row['communication_share']:.1%} of "
      f"{1e3 * row['roofline']['step_seconds']:.2f} ms"
    )


if __name__ == "__main__":
  command_line.command(main, Options, __doc__)
