"""One photo in 64 invented styles, with one vmapped call.

    python examples/many_styles.py

The photo is encoded once; only the generator runs 64 times.
"""

import jax

import stylejax


def stylize_all(params, photo, keys, *, strength=1.0):
  """[len(keys), H, W, 3]: the photo in a style of the noise generator for each key."""
  content_code = stylejax.encode_content(params, photo)
  style_codes = jax.vmap(stylejax.sample_style, (None, 0))(params, keys)

  def stylize(style_code):
    return stylejax.generate(params, content_code, style_code, strength=strength)

  return jax.vmap(stylize)(style_codes)


def main():
  params = stylejax.load_pretrained()
  photo = jax.random.uniform(jax.random.key(0), (64, 96, 3))
  fast = jax.jit(stylize_all, compiler_options=stylejax.compiler_options())
  stylized = fast(params, photo, jax.random.split(jax.random.key(1), 64))
  colors = stylized.mean((1, 2))
  print(f"{stylized.shape} images; their mean colors spread by {colors.std(0).round(3)}")


if __name__ == "__main__":
  main()
