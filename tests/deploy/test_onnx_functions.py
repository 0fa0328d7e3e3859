"""The halves of `stylize` and the frames of a video as ONNX files, used as an app uses them."""

import typing

import jax
import numpy as np
import onnxruntime
import pytest

import stylejax
from stylejax.cli.export import Function
from stylejax.controls.strength import blend_with_content
from stylejax.deploy import export as exporting
from stylejax.deploy.functions import FUNCTIONS


@pytest.fixture(scope="module")
def sessions(tiny_params, tmp_path_factory):
  """{function: what runs its file, from inputs by name to outputs}, without `stylize`."""
  folder, runs = tmp_path_factory.mktemp("export"), {}
  for name in ("encode_style", "paint", "next_frame"):
    path = folder / f"{name}.onnx"
    manifest = exporting.export(tiny_params, path, function=name, sizes=((24, 17), (40, 33)))
    assert max(manifest["max_difference"].values()) < 1e-5
    session = onnxruntime.InferenceSession(path)
    runs[name] = lambda session=session, **inputs: session.run(
      None, {key: np.asarray(value, np.float32) for key, value in inputs.items()}
    )
  return runs


@pytest.mark.parametrize(
  "strength, blend, noise_gain", [(1.0, None, 1.0), (0.4, 0.52, 1.0), (1.7, None, 1.7)]
)
def test_two_styles_are_mixed_by_the_mean_of_their_codes(
  strength, blend, noise_gain, sessions, tiny_params, rng
):
  content = rng.random((2, 37, 54, 3), np.float32)
  styles = [rng.random((16, 31, 3), np.float32), rng.random((29, 20, 3), np.float32) ** 2]
  first, second = (sessions["encode_style"](style=style)[0] for style in styles)
  code = 0.3 * first + 0.7 * second
  (stylized,) = sessions["paint"](content=content, code=code, noise_gain=noise_gain)
  if blend is not None:  # s(3 − s)/2 of 0.4
    stylized = blend_with_content(stylized, content, blend)
  expected = jax.jit(stylejax.stylize)(
    tiny_params, content, styles, weights=np.float32([0.3, 0.7]), strength=strength
  )
  np.testing.assert_allclose(stylized, expected, atol=1e-5)


def test_frame_after_frame_as_the_package_paints_them(sessions, tiny_params, rng):
  """Five frames, with a cut to another scene at the fourth."""
  code = stylejax.encode_style(tiny_params, rng.random((24, 24, 3), np.float32))
  scene, other = rng.random((2, 41, 30, 3), np.float32)
  frames = [np.clip(scene + 0.01 * rng.standard_normal(scene.shape), 0, 1) for _ in range(3)]
  frames[1][:, 15:] = frames[1][:, 15:][:, ::-1]  # what moves
  frames = np.float32([*frames, other**4, other**4])
  state = stylejax.first_state(tiny_params, 41, 30)
  step = jax.jit(stylejax.next_frame)
  previous = {
    "previous_frame": np.zeros_like(scene),
    "previous_stylized": np.zeros_like(scene),
    "previous_moments": np.zeros(128),
  }
  memory = 0.0
  for frame in frames:
    image, stylized, moments = sessions["next_frame"](
      frame=frame, code=code.vector, strength=0.8, memory=memory, **previous
    )
    previous = {"previous_frame": frame, "previous_stylized": stylized, "previous_moments": moments}
    memory = 0.8
    expected, state = step(tiny_params, frame, code, state, strength=0.8, memory=0.8)
    np.testing.assert_allclose(image, expected, atol=1e-5)
    np.testing.assert_allclose(stylized, state.stylized, atol=1e-5)


def test_the_command_offers_every_function():
  assert typing.get_args(Function) == tuple(FUNCTIONS)
