"""The weights `base`: in two parts what the shipped ones were trained on in many.

The model card has the commands that were run, with every change on the way; the weights of the
losses here are those of the last of them.
"""

from stylejax.training.recipes.recipe import Part, Recipe
from stylejax.training.task_configs import TransferConfig

_CROPS = {
  "preset": "base",
  "size": 256,
  "content_scale": (1.0, 1.25),
  "style_scale": (1.0, 1.25),
  "tv_weight": 0.0,
}

RECIPE = Recipe(
  batch=8,
  largest_rate=6e-3,
  parts=(
    # Images of `base-1` teach colors and light in minutes, and no perceptual net runs.
    Part(
      "taught",
      TransferConfig,
      16_000,
      2e-3,
      {
        **_CROPS,
        "style_repeat": 1,
        "teacher": "base-1",
        "teacher_weight": 10.0,
        "content_weight": 0.0,
        "style_weight": 0.0,
        "identity_weight": 4.0,
        "adversarial_weight": 0.0,
        "decay_fraction": 0.1,
      },
    ),
    Part(
      "full",
      TransferConfig,
      100_000,
      1e-3,
      {
        **_CROPS,
        "optimizer": "muon",
        "perceptual_size": 128,
        "style_repeat": 2,
        "content_weight": 4.4,
        "detail_weight": 3.0,
        "structure_weight": 8.0,
        "spurious_edge_weight": 32.0,
        "grid_weight": 100.0,
        "style_weight": 85.0,
        "pyramid_weight": 60.0,
        "patch_weight": 28.0,
        "color_weight": 5.0,
        "resnet_weight": 300.0,
        "resnet_content_weight": 9.0,
        "resnet_patch_weight": 28.0,
        "identity_weight": 25.0,
        "tv_weight": 0.5,
        "adversarial_weight": 0.1,
        "decay_fraction": 0.4,
      },
    ),
  ),
)
