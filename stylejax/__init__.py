"""Neural style transfer as pure JAX functions."""

import importlib

# Where each public name lives. Looked up on first use: `infer.py --help` need not wait for JAX.
_HOMES = {
  "Edges": "models.edges",
  "FrameState": "sequence",
  "InputError": "errors",
  "ModelConfig": "models.config",
  "PRESETS": "models.config",
  "compiler_options": "compiler",
  "export": "inference.export",
  "first_state": "sequence",
  "load_pretrained": "inference.weights",
  "load_vgg": "data.perceptual",
  "next_frame": "sequence",
  "optimize_image": "inference.optimise",
  "optimize_neighbors": "optimization.neighbors",
  "optimize_scales": "inference.optimise",
  "preserve_colour": "controls",
  "refine_neighbors": "optimization.refine",
  "reuse_memory": "compiler",
  "save_weights": "inference.weights",
  **dict.fromkeys((
    "ContentCode", "Params", "StyleCode", "discriminate", "encode_content", "encode_style",
    "generate", "init_params", "reconstruct", "sample_style", "sample_swatch", "stylize",
  ), "transfer"),
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
  if name not in _HOMES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *_HOMES})
