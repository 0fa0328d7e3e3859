"""The weights `large`: 17 million crops of COCO's train2017 and of WikiArt, on TPUs or GPUs.

Nobody has run it yet. Its losses are those with which the training of `base-1` ended; docs/pod.md
estimates what it costs.
"""

from stylejax.training.recipes.recipe import Part, Recipe
from stylejax.training.task_configs import AutoencoderConfig, TransferConfig

# Losses of the last part of the training of `base-1` (see its model card).
_LOSSES = {
  "content_weight": 1.8,
  "detail_weight": 1.5,
  "structure_weight": 3.8,
  "style_weight": 48.0,
  "pyramid_weight": 45.0,
  "color_weight": 1.0,
  "spurious_edge_weight": 5.0,
  "resnet_weight": 420.0,
  "resnet_content_weight": 8.0,
  "identity_weight": 15.0,
  "adversarial_weight": 0.3,
}
_PRESET = {"preset": "large"}

RECIPE = Recipe(
  batch=4,
  largest_rate=4e-3,
  parts=(
    Part("autoencoder", AutoencoderConfig, 1_000_000, 1e-3, {**_PRESET, "size": 128}),
    Part(
      "small",
      TransferConfig,
      4_000_000,
      1e-3,
      {**_PRESET, "size": 128, "style_repeat": 1, "style_weight": 60.0},
    ),
    Part(
      "full",
      TransferConfig,
      12_000_000,
      0.5e-3,
      {
        **_PRESET,
        **_LOSSES,
        "size": 256,
        "perceptual_size": 192,
        "style_repeat": 1,
        "content_scale": (1.0, 1.25),
        "style_scale": (1.0, 1.25),
      },
    ),
  ),
)
