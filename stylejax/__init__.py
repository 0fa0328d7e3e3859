"""Neural style transfer as pure JAX functions."""

import importlib

__version__ = "0.2.0.dev0"

# Where each public name lives; imported on first use, so that `stylejax --help` needn't load JAX.
_HOMES = {
  "Edges": "models.padding",
  "Flow": "motion",
  "FrameState": "temporal",
  "InputError": "errors",
  "ModelConfig": "models.config",
  "PRESETS": "models.config",
  "Params": "models.params",
  "compiler_options": "runtime.jit",
  "enable_cache": "runtime.compilation_cache",
  "export": "deploy.export",
  "first_state": "temporal",
  "init_params": "models.nets",
  "load_pretrained": "weights.model_file",
  "load_vgg": "weights.perceptual",
  "next_frame": "temporal",
  "optical_flow": "motion",
  "optimize_image": "optimization.gram",
  "optimize_neighbors": "optimization.neighbors",
  "optimize_scales": "optimization.gram",
  "Stylizer": "inference.stylizer",
  "preserve_color": "controls.color",
  "refine_neighbors": "optimization.refine",
  "reuse_memory": "runtime.jit",
  "save_weights": "weights.model_file",
  **dict.fromkeys(
    (
      "ContentCode",
      "StyleCode",
      "discriminate",
      "encode_content",
      "encode_style",
      "generate",
      "reconstruct",
      "sample_style",
      "sample_texture",
      "stylize",
    ),
    "transfer",
  ),
}

# Names of version 0.1, refused by an error that gives the new one.
_OLD_NAMES = {"preserve_colour": "preserve_color", "sample_swatch": "sample_texture"}

__all__ = sorted(_HOMES)  # noqa: PLE0605 — a list, made of the table


def __getattr__(name: str):
  if name in _OLD_NAMES:
    raise AttributeError(
      f"module {__name__!r}: found {name!r}, a name of version 0.1, expected {_OLD_NAMES[name]!r}"
    )
  if name not in _HOMES:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return sorted({*globals(), *_HOMES})
