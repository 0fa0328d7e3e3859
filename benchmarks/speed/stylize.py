"""How many images a second are stylized, from the content and a 256 px style to the result?

python -m benchmarks stylize --sizes 512 1024
"""

from benchmarks.harness import command_line, nets, timing
from stylejax import transfer

STYLE_SIZE = 256


def cases(options: command_line.Options) -> list[timing.Case]:
  """Steps 1 to 3 in one program, at each size."""
  params, style = nets.params(options), nets.images(options, STYLE_SIZE, seed=1)
  return [
    timing.jit_case(
      "stylize",
      transfer.stylize,
      (params, nets.images(options, size), style),
      options.batch,
      nets.about(options, size),
    )
    for size in options.sizes
  ]


if __name__ == "__main__":
  command_line.run_cases("stylize", cases, __doc__)
