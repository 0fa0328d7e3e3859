"""`stylize` as a layer inside a loss of your own: which style image turns a photo orange?

    python examples/differentiable_layer.py

The style image's pixels are what is learned; nothing of stylejax is trained.
"""

import jax
import jax.numpy as jnp
import optax

import stylejax


def learn_style(params, photo, wanted, *, steps=40, rate=0.05, side=64, seed=0):
  """A style image [side, side, 3] that gives `photo` the mean color `wanted`, and the losses."""
  key = jax.random.key(seed)
  content_code = stylejax.encode_content(params, photo)
  tx = optax.adam(rate)

  def loss(logits):
    style_code = stylejax.encode_style(params, jax.nn.sigmoid(logits))
    stylized = stylejax.generate(params, content_code, style_code)
    return jnp.square(stylized.mean((0, 1)) - wanted).sum()

  @jax.jit
  def train(logits):
    def step(carry, _):
      logits, opt_state = carry
      value, gradient = jax.value_and_grad(loss)(logits)
      updates, opt_state = tx.update(gradient, opt_state)
      return (optax.apply_updates(logits, updates), opt_state), value

    (logits, _), losses = jax.lax.scan(step, (logits, tx.init(logits)), length=steps)
    return jax.nn.sigmoid(logits), losses

  return train(jax.random.normal(key, (side, side, 3)))


def main():
  photo = jax.random.uniform(jax.random.key(1), (64, 64, 3))
  orange = jnp.array([0.9, 0.5, 0.1])
  style, losses = learn_style(stylejax.load_pretrained(), photo, orange)
  print(
    f"squared distance to orange: {losses[0]:.4f} before, {losses[-1]:.4f} after; the style's "
    f"own color is {style.mean((0, 1)).round(2)}"
  )


if __name__ == "__main__":
  main()
