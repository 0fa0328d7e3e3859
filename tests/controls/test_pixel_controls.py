"""What holds for every row of the table of pixel controls, and how the table is read."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stylejax
from stylejax import temporal, transfer
from stylejax.cli import pixel_options
from stylejax.controls import apply
from stylejax.controls.color import color_moments, preserve_color
from stylejax.controls.table import PIXEL_CONTROLS, PixelControls
from stylejax.inference.request import check_controls
from stylejax.inference.stylizer import Stylizer

SIZE = 24, 20
CASES = [
  (name, mode) for name, control in PIXEL_CONTROLS.items() for mode in (control.modes or (None,))
]
"""(control, mode) of every row."""


@pytest.fixture
def images(rng):
  """Two stylized images and their contents."""
  return rng.random((2, 2, *SIZE, 3), np.float32)


def values(name, mode, amount):
  return {name: amount} if mode is None else {name: amount, f"{name}_mode": mode}


def middle(name):
  control = PIXEL_CONTROLS[name]
  return np.float32(0.25 * control.low + 0.75 * control.high)


@pytest.mark.parametrize("name, mode", CASES)
class TestEveryControl:
  def test_neutral_leaves_the_image_and_another_amount_does_not(self, name, mode, images):
    neutral = values(name, mode, PIXEL_CONTROLS[name].neutral)
    np.testing.assert_allclose(apply.apply_controls(*images, neutral), images[0], atol=1e-6)
    changed = apply.apply_controls(*images, values(name, mode, middle(name)))
    assert np.abs(changed - images[0]).max() > 0.01
    assert changed.dtype == jnp.float32 and changed.min() >= -1e-6 and changed.max() <= 1 + 1e-6

  def test_a_number_a_batch_and_a_map_mean_the_same(self, name, mode, images):
    every = apply.apply_controls(*images, values(name, mode, middle(name)))
    for shape in ((2,), SIZE):
      amount = np.full(shape, middle(name))
      np.testing.assert_allclose(
        apply.apply_controls(*images, values(name, mode, amount)), every, atol=1e-6
      )
    one = apply.apply_controls(images[0, 1], images[1, 1], values(name, mode, middle(name)))
    np.testing.assert_allclose(one, every[1], atol=1e-5)

  def test_traced_and_with_a_gradient(self, name, mode, images):
    def run(amount):
      return apply.apply_controls(*images, values(name, mode, amount))

    amounts = jnp.stack([middle(name), PIXEL_CONTROLS[name].high])
    for eager, mapped in zip(map(run, amounts), jax.jit(jax.vmap(run))(amounts), strict=True):
      np.testing.assert_allclose(mapped, eager, atol=1e-5)
    slope = jax.jit(jax.grad(lambda amount: (run(amount) * images[1]).sum()))(middle(name))
    step = np.float32(1e-2)
    ends = [(run(middle(name) + d) * images[1]).sum() for d in (-step, step)]
    np.testing.assert_allclose(slope, (ends[1] - ends[0]) / (2 * step), rtol=0.02, atol=0.1)

  def test_a_part_of_an_image_is_that_part_of_the_whole(self, name, mode, images):
    (setting,) = apply.settings(values(name, mode, middle(name)), SIZE)
    moments = tuple(map(color_moments, images)) if setting.needs_moments else None
    whole = apply.apply_setting(*images, setting, moments=moments)
    part = apply.apply_setting(*images[:, :, 3:9], setting, moments=moments)
    np.testing.assert_allclose(part, whole[:, 3:9], atol=1e-6)

  def test_the_stylizer_the_function_and_frames_agree(self, name, mode, images, tiny_params):
    content, style = images[0, 0], images[1, 0]
    chosen = values(name, mode, float(middle(name)))
    plain, expected = (
      jax.jit(lambda c, s, more=more: transfer.stylize(tiny_params, c, s, **more))(content, style)
      for more in ({}, chosen)
    )
    np.testing.assert_allclose(apply.apply_controls(plain, content, chosen), expected, atol=1e-4)
    code = jax.jit(transfer.encode_style)(tiny_params, style)
    np.testing.assert_allclose(Stylizer(tiny_params)(content, code, **chosen), expected, atol=1e-4)
    frame, _ = jax.jit(temporal.next_frame)(
      tiny_params,
      content,
      code,
      temporal.first_state(tiny_params, *SIZE),
      **apply.traced_controls(chosen),
    )
    np.testing.assert_allclose(frame, expected, atol=1e-4)

  def test_out_of_range_is_refused_everywhere(self, name, mode, images):
    control = PIXEL_CONTROLS[name]
    message = f"{name}: found .*, expected {control.low:g} to {control.high:g}"
    for wrong in (control.high + 0.1, control.low - 0.1, np.nan):
      with pytest.raises(ValueError, match=message):
        apply.apply_controls(*images, values(name, mode, wrong))
      with pytest.raises(
        ValueError, match=f"--.*: found .*, expected a number from {control.low:g}"
      ):
        check_controls(values(name, mode, wrong))


def test_a_map_of_colors_in_the_stylizer(tiny_params, images):
  """A map of another size is refused; one of the content's size is used."""
  content, style = images[0, 0], images[1, 0]
  stylizer = Stylizer(tiny_params)
  code = stylizer.encode_style(style)
  rising = np.tile(np.linspace(0, 1, SIZE[1], dtype=np.float32), (SIZE[0], 1))
  actual = stylizer(content, code, color=rising)
  expected = preserve_color(stylizer(content, code), content, color=rising)
  np.testing.assert_allclose(actual, expected, atol=1e-4)
  with pytest.raises(
    ValueError, match=r"color: found shape \(20, 24\), expected a scalar or a map"
  ):
    stylizer(content, code, color=rising.T)


def test_keywords_are_those_of_the_table(tiny_params, images):
  keywords = list(PIXEL_CONTROLS)
  keywords += [f"{name}_mode" for name, control in PIXEL_CONTROLS.items() if control.modes]
  assert set(PixelControls.__annotations__) == set(keywords)
  for function in (stylejax.stylize, stylejax.next_frame, Stylizer.__call__):
    parameters = inspect.signature(function).parameters
    assert set(keywords) <= set(parameters) and "controls" not in parameters
    for name, control in PIXEL_CONTROLS.items():
      line = f"{name}: {control.low:g} to {control.high:g}, {control.neutral:g} changes nothing."
      assert line in function.__doc__
  for call in (
    lambda **more: stylejax.stylize(tiny_params, *images[0], **more),
    lambda **more: Stylizer(tiny_params)(*images[0], **more),
  ):
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'colour', expected .*color,"):
      call(colour=1)


def test_rows_are_in_a_state_that_can_be_used():
  for name, control in PIXEL_CONTROLS.items():
    assert control.low <= control.neutral <= control.high and control.low < control.high, name
    assert callable(apply.function_of(control)), name
    assert control.help.endswith("."), name
    assert bool(control.mode_help) == bool(control.modes), name


def test_the_commands_flags_come_back_by_the_controls_names():
  settings = {field: number for number, field in enumerate(pixel_options.FIELDS)}
  controls = pixel_options.take_controls(settings)
  assert not settings
  assert list(controls.values()) == list(range(len(pixel_options.FIELDS)))
  assert controls.keys() == PixelControls.__annotations__.keys()


@pytest.mark.parametrize(
  "controls, message",
  [
    ({"color": 0.5, "color_mode": "hue"}, "--color-mode: found hue, expected luminance or moments"),
    ({"hue": 0.5}, "controls: found hue, expected names among color"),
    ({"color": "much"}, "--preserve-color: found much, expected a number from 0 to 1"),
  ],
)
def test_a_request_names_what_is_wrong(controls, message):
  with pytest.raises(ValueError, match=message):
    check_controls(controls)
