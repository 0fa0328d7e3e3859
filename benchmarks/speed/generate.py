"""How fast do the generator, the autoencoder, the discriminator and the noise generator run?

python -m benchmarks generate --preset large --dtype bfloat16 --batch 8
"""

import jax

from benchmarks.harness import command_line, nets, timing
from stylejax import transfer


def cases(options: command_line.Options) -> list[timing.Case]:
  """Steps 3 and 4, the whole autoencoder, and sampling a style."""
  params = nets.params(options)
  codes = jax.jit(
    lambda params, content, style: (
      transfer.encode_content(params, content),
      transfer.encode_style(params, style),
    )
  )
  cases = []
  for size in options.sizes:
    image, about = nets.images(options, size), nets.about(options, size)
    content_code, style_code = codes(params, image, image)
    cases += [
      timing.jit_case(
        "generate", transfer.generate, (params, content_code, style_code), options.batch, about
      ),
      timing.jit_case("reconstruct", transfer.reconstruct, (params, image), options.batch, about),
      timing.jit_case("discriminate", transfer.discriminate, (params, image), options.batch, about),
    ]
  key = timing.replicate(jax.random.key(0), options.devices)  # each device samples the whole style
  about = nets.about(options, nets.config(options).texture_size) | {"batch": 1, "devices": 1}
  cases.append(timing.jit_case("sample_style", transfer.sample_style, (params, key), 1, about))
  return cases


if __name__ == "__main__":
  command_line.run_cases("generate", cases, __doc__)
