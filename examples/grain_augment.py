"""A Grain pipeline whose batches are stylized on the fly: style as augmentation.

    python examples/grain_augment.py

After Geirhos et al. 2019 (arXiv:1811.12231): a classifier that sees each image in another style
has to rely on shapes. About half of each batch stays as it is.
"""

import functools

import grain
import jax
import jax.numpy as jnp
import numpy as np

import stylejax


@functools.partial(jax.jit, compiler_options=stylejax.compiler_options())
def restyle(params, images, key):
  """A batch [B, H, W, 3] in [0, 1]: about half of the images as they are, each other restyled."""
  style_key, strength_key = jax.random.split(key)
  keys = jax.random.split(style_key, len(images))
  styles = jax.vmap(stylejax.sample_style, (None, 0))(params, keys)
  strength = jax.random.bernoulli(strength_key, shape=(len(images),)).astype(jnp.float32)
  content = stylejax.encode_content(params, images)
  stylized = stylejax.generate(params, content, styles, strength=strength)
  return jnp.where(strength[:, None, None, None] > 0, stylized, images)


def batches(params, images, labels, *, batch_size, seed=0):
  """Batches {"image", "label"} in a shuffled order, the same for the same seed."""
  source = [{"image": image, "label": label} for image, label in zip(images, labels, strict=True)]
  dataset = grain.MapDataset.source(source).shuffle(seed).batch(batch_size)

  # Grain gives each element its own random generator: a batch is the same after any restart and on
  # any shard.
  def augment(batch, rng):
    key = jax.random.key(rng.integers(2**32, dtype=np.uint32))
    return batch | {"image": np.asarray(restyle(params, batch["image"], key))}

  return dataset.seed(seed).random_map(augment).to_iter_dataset()


def main():
  rng = np.random.default_rng(0)
  images, labels = rng.random((32, 64, 64, 3), np.float32), np.arange(32)
  for batch in batches(stylejax.load_pretrained(), images, labels, batch_size=8):
    moved = np.abs(batch["image"] - images[batch["label"]]).mean((1, 2, 3))
    print(f"labels {batch['label']}: restyled {np.count_nonzero(moved)} of {len(moved)}")


if __name__ == "__main__":
  main()
