"""Neural style transfer as pure JAX functions."""

from stylejax.compiler import compiler_options, reuse_memory
from stylejax.controls import preserve_colour
from stylejax.data.perceptual import load_vgg
from stylejax.errors import InputError
from stylejax.inference.export import export
from stylejax.inference.optimise import optimize_image, optimize_scales
from stylejax.inference.weights import load_pretrained, save_weights
from stylejax.models.config import PRESETS, ModelConfig
from stylejax.sequence import FrameState, first_state, next_frame
from stylejax.transfer import (
  ContentCode,
  Params,
  StyleCode,
  discriminate,
  encode_content,
  encode_style,
  generate,
  init_params,
  reconstruct,
  sample_style,
  sample_swatch,
  stylize,
)

__all__ = [
  "ContentCode", "FrameState", "InputError", "ModelConfig", "PRESETS", "Params", "StyleCode",
  "compiler_options", "discriminate", "encode_content", "encode_style", "export", "first_state",
  "generate", "init_params", "load_pretrained", "load_vgg", "next_frame", "optimize_image",
  "optimize_scales", "preserve_colour", "reconstruct", "reuse_memory", "sample_style",
  "sample_swatch", "save_weights", "stylize",
]
