"""A node for ComfyUI: images in the style of others, with onnxruntime, on a CPU, without JAX.

Copy this folder to ComfyUI/custom_nodes/stylejax, put the two files beside this one, and install
onnxruntime into ComfyUI's Python:

    stylejax export custom_nodes/stylejax/style.onnx --function encode_style
    stylejax export custom_nodes/stylejax/paint.onnx --function paint
    pip install onnxruntime

The node is "stylejax: stylize", in image/style.
"""

import functools
from pathlib import Path

import numpy as np
import onnxruntime

FOLDER = Path(__file__).parent


@functools.cache
def session(name):
  """The model of a file in this folder, loaded on first use."""
  path = FOLDER / name
  if not path.exists():
    raise FileNotFoundError(f"found no {path}, expected a file of `stylejax export`")
  return onnxruntime.InferenceSession(path)


class StylejaxStylize:
  """The content in the style of another image, or of two that are mixed."""

  CATEGORY = "image/style"
  FUNCTION = "stylize"
  RETURN_TYPES = ("IMAGE",)

  @classmethod
  def INPUT_TYPES(cls):
    share = {"min": 0.0, "max": 1.0, "step": 0.01}
    return {
      "required": {
        "content": ("IMAGE",),
        "style": ("IMAGE",),
        "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0, "step": 0.05}),
      },
      "optional": {"other_style": ("IMAGE",), "mix": ("FLOAT", {"default": 0.5} | share)},
    }

  def stylize(self, content, style, strength, other_style=None, mix=0.5):
    """Stylizes every image of the content, one after the other.

    Args:
      content: [B, H, W, 3] in [0, 1], a tensor like all of ComfyUI's images.
      style: likewise, of any size; the styles of a batch are mixed evenly.
      strength: from 0 (the content) through 1 (as trained) to 2.
      other_style: as style.
      mix: share of the other style.

    Returns:
      ([B, H, W, 3],), a tensor.
    """
    import torch

    code = encode_styles(style)
    if other_style is not None:
      code = (1.0 - mix) * code + mix * encode_styles(other_style)
    stylized = [paint(np.asarray(image, np.float32), code, strength) for image in content.cpu()]
    return (torch.from_numpy(np.stack(stylized)),)


def encode_styles(styles):
  """The mean of the codes of some images [S, H, W, 3]: [D] float32."""
  codes = [
    session("style.onnx").run(None, {"style": np.asarray(image, np.float32)[..., :3]})[0]
    for image in styles.cpu()
  ]
  return np.mean(codes, axis=0)


def paint(image, code, strength):
  """One image [H, W, 3] in the style of a code; alpha stays as it is."""
  inputs = {
    "content": image[None, ..., :3],
    "code": np.asarray(code, np.float32),
    "noise_gain": np.array(max(strength, 1.0), np.float32),
  }
  (stylized,) = session("paint.onnx").run(None, inputs)
  visible = min(strength, 1.0)
  stylized = blend(stylized[0], image[..., :3], visible * (3.0 - visible) / 2.0)
  return np.concatenate([stylized, image[..., 3:]], axis=-1).astype(np.float32)


def blend(stylized, content, share):
  """`share` of the stylized image over its content, in linear light."""

  def to_light(x):
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)

  light = share * to_light(stylized) + (1.0 - share) * to_light(content)
  numbers = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
  return np.minimum(numbers, 1.0)


NODE_CLASS_MAPPINGS = {"StylejaxStylize": StylejaxStylize}
NODE_DISPLAY_NAME_MAPPINGS = {"StylejaxStylize": "stylejax: stylize"}
