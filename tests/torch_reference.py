"""PyTorch, the independent reference for the tests marked `torch`.

Both names are None where it isn't installed; conftest.py skips those tests there.
"""

try:
  import torch
  import torch.nn.functional as F
except ImportError:
  torch = F = None
