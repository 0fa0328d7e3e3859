"""What the training runs of these tests have in common, so that they share compiled steps.

The schedule's numbers, including the number of steps, are constants of the compiled step.
"""

STEPS = 20
SETTINGS = {"preset": "tiny", "batch": 4, "size": 32, "steps": STEPS, "warmup_steps": 2}
# For a transfer also the terms that are off by default.
EXTRA_WEIGHTS = {
  "gram_weight": 0.1,
  "detail_weight": 0.1,
  "color_weight": 0.1,
  "spurious_edge_weight": 0.1,
  "spurious_color_weight": 0.1,
  "grid_weight": 0.1,
  "structure_weight": 0.1,
  "pyramid_weight": 0.1,
  "resnet_weight": 0.1,
  "resnet_content_weight": 0.1,
  "patch_weight": 0.1,
  "resnet_patch_weight": 0.1,
}


def flags(kind: str) -> list[str]:
  """The same for the command line of train.py."""
  settings = SETTINGS | (EXTRA_WEIGHTS if kind == "transfer" else {})
  return [
    word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))
  ]
