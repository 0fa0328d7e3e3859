"""The functions that an exported file can hold: their tensors, computations and trial inputs.

stablehlo.py and onnx.py define how a function is represented; no file is read or written here.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from stylejax import temporal, transfer
from stylejax.controls.strength import MAX_STRENGTH
from stylejax.models.codes import StyleCode
from stylejax.models.config import ModelConfig
from stylejax.models.decoder_stages import modulated_levels

Arrays = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A float32 input or output.

  Attributes:
    shape: sizes; a letter is an open size, the same one wherever it occurs.
    range: the lowest and the highest value; None allows any.
  """

  shape: tuple[str | int, ...]
  range: tuple[float, float] | None = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Signature:
  """The tensors of a function by name, in order."""

  inputs: dict[str, Tensor]
  outputs: dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Sample:
  """Images on which a function is tried.

  Attributes:
    contents: [B, H, W, 3].
    style: [H + 3, W + 5, 3].
    code: the style vector [D] of some image.
  """

  contents: np.ndarray
  style: np.ndarray
  code: np.ndarray


@dataclasses.dataclass(frozen=True)
class Function:
  """One function that a file can hold.

  Attributes:
    meaning: what the function returns, for help texts.
    needs: the fields of `Params` that it reads.
    signature: its tensors, for given sizes of the nets.
    call: (params, *inputs) → outputs.
    trial: (config, sample, outputs of the previous trial or None) → inputs to try it on.
    trials: number of trials, done one after the other.
    tolerance: largest difference that rounding explains, in float32 on a CPU.
  """

  meaning: str
  needs: tuple[str, ...]
  signature: Callable[[ModelConfig], Signature]
  call: Callable[..., tuple[jax.Array, ...]]
  trial: Callable[[ModelConfig, Sample, Arrays | None], Arrays]
  trials: int = 1
  tolerance: float = 1e-5


_STRENGTH = Tensor((), (0.0, MAX_STRENGTH))
_NOISE_GAIN = Tensor((), (1.0, MAX_STRENGTH))
_CONTENT = Tensor(("b", "h", "w", 3))
_STYLE = Tensor(("p", "q", 3))
_FRAME = Tensor(("h", "w", 3))


def _code(config: ModelConfig) -> Tensor:
  return Tensor((config.style_dim,), None)


def moment_widths(config: ModelConfig) -> tuple[int, ...]:
  """Channel counts of the means and standard deviations in a frame's moments, in order."""
  return tuple(config.content_widths[level] for level in modulated_levels(config) for _ in range(2))


def _stylize(params, content, style, strength):
  return (transfer.stylize(params, content, style, strength=strength),)


def _encode_style(params, style):
  return (transfer.encode_style(params, style).vector,)


def _paint(params, content, code, noise_gain):
  content_code = transfer.encode_content(params, content)
  return (transfer.generate_unblended(params, content_code, code[None], noise_gain),)


def _next_frame(
  params, frame, code, strength, memory, previous_frame, previous_stylized, previous_moments
):
  ends = np.cumsum(moment_widths(params.config))[:-1].tolist()
  moments = [part[None, None, None] for part in jnp.split(previous_moments, ends)]
  state = temporal.FrameState(
    content=previous_frame,
    stylized=previous_stylized,
    moments=tuple(zip(moments[::2], moments[1::2], strict=True)),
    started=jnp.ones((), jnp.float32),
  )
  image, state = temporal.next_frame(
    params, frame, StyleCode((), code), state, strength=strength, memory=memory
  )
  return image, state.stylized, jnp.concatenate([m.ravel() for pair in state.moments for m in pair])


def _scalar(value: float) -> np.ndarray:
  return np.array(value, np.float32)


def _next_frame_signature(config: ModelConfig) -> Signature:
  moments = Tensor((sum(moment_widths(config)),), None)
  return Signature(
    {
      "frame": _FRAME,
      "code": _code(config),
      "strength": _STRENGTH,
      "memory": Tensor(()),
      "previous_frame": _FRAME,
      "previous_stylized": _FRAME,
      "previous_moments": moments,
    },
    {"image": _FRAME, "stylized": _FRAME, "moments": moments},
  )


def _next_frame_trial(config: ModelConfig, sample: Sample, before: Arrays | None) -> Arrays:
  """Inputs of a first frame, and of one whose left half is still while the right half moves."""
  frame, values = sample.contents[0], (sample.code, _scalar(0.9))
  if before is None:
    nothing, length = np.zeros_like(frame), sum(moment_widths(config))
    return (frame, *values, _scalar(0.0), nothing, nothing, np.zeros(length, np.float32))
  middle = frame.shape[1] // 2
  moved = np.concatenate([frame[:, :middle], np.roll(frame[:, middle:], 5, axis=1)], axis=1)
  return (moved, *values, _scalar(temporal.MEMORY), frame, *before[1:])


FUNCTIONS = {
  "stylize": Function(
    "a content image in the style of another",
    ("content_encoder", "style_encoder", "generator"),
    lambda config: Signature(
      {"content": _CONTENT, "style": _STYLE, "strength": _STRENGTH}, {"stylized": _CONTENT}
    ),
    _stylize,
    lambda config, sample, before: (sample.contents, sample.style, _scalar(0.9)),
  ),
  "encode_style": Function(
    "the code of a style image",
    ("style_encoder",),
    lambda config: Signature({"style": _STYLE}, {"code": _code(config)}),
    _encode_style,
    lambda config, sample, before: (sample.style,),
  ),
  "paint": Function(
    "a content image in the style of a code, not blended with the content",
    ("content_encoder", "generator"),
    lambda config: Signature(
      {"content": _CONTENT, "code": _code(config), "noise_gain": _NOISE_GAIN},
      {"stylized": _CONTENT},
    ),
    _paint,
    lambda config, sample, before: (sample.contents, sample.code, _scalar(1.3)),
  ),
  "next_frame": Function(
    "the next frame of a video in the style of a code, and what the frame after it needs",
    ("content_encoder", "generator"),
    _next_frame_signature,
    _next_frame,
    _next_frame_trial,
    trials=2,
    # A channel that was almost constant in the previous frame magnifies the rounding errors of the
    # package's Winograd convolutions: outputs differ by 1.2e-5 from those with them, and by 1.1e-6
    # from those with direct convolutions, which onnxruntime uses too.
    tolerance=3e-5,
  ),
}
"""Everything that can be exported, by name.

`encode_style` and `paint` are the two halves of `stylize`: a style is read once, codes of several
styles are mixed by a weighted mean, and the caller blends with the content if the strength is below
1. `next_frame` takes such a code too. Its input frame and its outputs stylized and moments are the
next frame's previous_frame, previous_stylized and previous_moments; for the first frame the memory
and these are 0."""
