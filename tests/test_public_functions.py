"""Every public function of arrays under the switches that a host program may have set."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import stylejax

NO_FUNCTIONS_OF_ARRAYS = {
  "Stylizer",  # keeps programs and reads styles; it is not meant to be traced
  "ContentCode",
  "Edges",
  "Flow",
  "FrameState",
  "InputError",
  "ModelConfig",
  "PRESETS",
  "Params",
  "StyleCode",
  "compiler_options",
  "enable_cache",
  "export",
  "load_pretrained",
  "load_vgg",
  "reuse_memory",
  "save_weights",
}
"""Types, and functions of files and settings."""

METHODS = ("lbfgs", "adam")


@functools.cache
def images():
  rng = np.random.default_rng(0)
  shapes = {
    "content": (24, 20, 3),
    "batch": (2, 24, 20, 3),
    "style": (18, 22, 3),
    "other": (20, 16, 3),
    "maps": (2, 24, 20),
    "plane": (24, 20),
  }
  return {name: rng.random(shape, np.float32) for name, shape in shapes.items()}


def calls():
  """{name: (function of (params, vgg_params, images), whether it is public)} of all of them."""
  two = np.float32([0.3, 0.7])
  every = {"color": 0.5, "color_mode": 0.3, "stroke": 1.5}
  s = stylejax

  def code(p, i):
    return s.encode_content(p, i["content"]), s.encode_style(p, i["style"])

  return {
    "discriminate": lambda p, v, i: s.discriminate(p, i["batch"]),
    "encode_content": lambda p, v, i: s.encode_content(p, i["batch"]),
    "encode_content, seamless": lambda p, v, i: s.encode_content(
      p, i["content"][:16, :16], edges=s.Edges((16, 16), wrap=(True, True))
    ),
    "encode_content, padded": lambda p, v, i: s.encode_content(
      p, i["content"], edges=s.Edges((24, 20), inside=(jnp.int32(20), jnp.int32(16)))
    ),
    "encode_style": lambda p, v, i: s.encode_style(p, i["batch"], stroke=two),
    "first_state": lambda p, v, i: s.first_state(p, 24, 20),
    "generate": lambda p, v, i: s.generate(p, *code(p, i), strength=i["plane"]),
    "init_params": lambda p, v, i: s.init_params(jax.random.key(0), p.config),
    "next_frame": lambda p, v, i: s.next_frame(
      p, i["content"], s.encode_style(p, i["style"]), s.first_state(p, 24, 20)
    ),
    "next_frame, along its motion": lambda p, v, i: s.next_frame(
      p,
      i["content"],
      s.encode_style(p, i["style"]),
      s.first_state(p, 24, 20),
      flow=s.optical_flow(i["content"], i["content"][::-1]),
    ),
    "optical_flow": lambda p, v, i: s.optical_flow(i["content"], i["content"][::-1]),
    "preserve_color": lambda p, v, i: s.preserve_color(
      i["batch"], i["batch"][::-1], color=two, mode=i["plane"]
    ),
    "reconstruct": lambda p, v, i: s.reconstruct(p, i["content"]),
    "sample_style": lambda p, v, i: s.sample_style(p, jax.random.key(0)),
    "sample_texture": lambda p, v, i: s.sample_texture(p, jax.random.key(0)),
    "stylize": lambda p, v, i: s.stylize(p, i["batch"], i["style"], strength=two, **every),
    "stylize, maps": lambda p, v, i: s.stylize(
      p, i["content"], [i["style"], i["other"]], weights=i["maps"], strength=2 * i["plane"], **every
    ),
    "stylize, gradient": lambda p, v, i: jax.grad(
      lambda p: s.stylize(p, i["content"], i["style"], **every).sum()
    )(p),
    "stylize, forward": lambda p, v, i: jax.jvp(
      lambda x: s.stylize(p, x, i["style"], **every), (i["content"],), (i["content"],)
    ),
    **{
      f"optimize_image, {method}": lambda p, v, i, method=method: s.optimize_image(
        v, i["content"][None], i["style"][None], steps=2, method=method
      )
      for method in METHODS
    },
    "optimize_neighbors": lambda p, v, i: s.optimize_neighbors(
      v,
      i["batch"],
      [i["style"][None], i["other"][None]],
      weights=i["maps"],
      steps=(1, 1),
      keep_color=two,
      own_color=i["plane"],
    ),
    "refine_neighbors": lambda p, v, i: s.refine_neighbors(
      v, i["batch"], i["batch"][::-1], [i["style"][None]], steps=(1, 1)
    ),
    "optimize_scales": lambda p, v, i: s.optimize_scales(
      v, i["content"][None], i["style"][None], scales=((1.0, 1),)
    ),
  }


def explicit_mesh():
  return jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:2])


SWITCHES = {
  "plain": contextlib.nullcontext,
  "x64": lambda: jax.enable_x64(True),
  "strict promotion": lambda: jax.numpy_dtype_promotion("strict"),
  "explicit mesh": lambda: jax.set_mesh(explicit_mesh()),
}


@pytest.fixture(scope="module")
def vgg_shapes():
  return jax.eval_shape(stylejax.load_vgg)


def test_every_public_name_is_tried():
  tried = {name.split(",")[0] for name in calls()}
  assert tried | NO_FUNCTIONS_OF_ARRAYS == set(stylejax.__all__)
  assert not tried & NO_FUNCTIONS_OF_ARRAYS


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("name", calls())
def test_traces_under_every_switch_and_gives_float32(name, switch, tiny_params, vgg_shapes):
  def call(params, vgg_params, images):
    return calls()[name](params, vgg_params, images)

  with SWITCHES[switch]():
    actual = jax.eval_shape(jax.jit(call), tiny_params, vgg_shapes, images())
  dtypes = {
    leaf.dtype for leaf in jax.tree.leaves(actual) if jnp.issubdtype(leaf.dtype, jnp.floating)
  }
  assert dtypes == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("switch", ["x64", "strict promotion", "explicit mesh"])
def test_numbers_are_the_same_under_every_switch(switch, tiny_params):
  i = images()

  def stylize(params, contents, style):
    return stylejax.stylize(
      params, contents, style, strength=1.5, color=0.5, color_mode=0.5, stroke=1.5
    )

  expected = jax.jit(stylize)(tiny_params, i["batch"], i["style"])
  with SWITCHES[switch]():
    contents = i["batch"]
    if switch == "explicit mesh":
      contents = jax.device_put(contents, NamedSharding(explicit_mesh(), P("data")))
    actual = jax.jit(stylize)(tiny_params, contents, i["style"])
  assert actual.dtype == jnp.float32
  np.testing.assert_allclose(actual, expected, atol=1e-5)
  if switch == "explicit mesh":
    assert actual.sharding.spec[0] == "data"


def test_gradients_and_steps_on_a_sharded_batch_of_an_explicit_mesh(tiny_params):
  i = images()

  def loss(params, contents):
    stylized = stylejax.stylize(params, contents, i["style"], color=0.5, color_mode=0.5)
    return stylized.mean() + stylejax.discriminate(params, stylized).mean()

  expected = jax.jit(jax.grad(loss))(tiny_params, i["batch"])
  mesh = explicit_mesh()
  with jax.set_mesh(mesh):
    contents = jax.device_put(i["batch"], NamedSharding(mesh, P("data")))
    params = jax.device_put(tiny_params, NamedSharding(mesh, P()))
    actual = jax.jit(jax.grad(loss))(params, contents)
  for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_forward_mode_is_the_slope(tiny_params):
  """Compared with the difference quotient of the same function."""
  i = images()
  step = np.random.default_rng(1).normal(size=i["content"].shape).astype(np.float32)

  def score(x):
    return (stylejax.stylize(tiny_params, x, i["style"]) * i["content"]).sum()

  _, slope = jax.jit(lambda x: jax.jvp(score, (x,), (step,)))(i["content"])
  reverse = (jax.jit(jax.grad(score))(i["content"]) * step).sum()
  np.testing.assert_allclose(slope, reverse, rtol=1e-4)
  assert abs(slope) > 1e-3


@pytest.mark.parametrize(
  "call",
  [
    lambda p, none, one: stylejax.stylize(p, none, one),
    lambda p, none, one: stylejax.stylize(p, one, none),
    lambda p, none, one: stylejax.encode_content(p, none),
    lambda p, none, one: stylejax.encode_style(p, none),
    lambda p, none, one: stylejax.reconstruct(p, none),
    lambda p, none, one: stylejax.discriminate(p, none),
    lambda p, none, one: stylejax.preserve_color(none, none),
  ],
  ids=[
    "content",
    "style",
    "encode_content",
    "encode_style",
    "reconstruct",
    "discriminate",
    "preserve_color",
  ],
)
def test_a_batch_of_no_images_is_refused_in_our_words(call, tiny_params):
  for xp in (np, jnp):
    none, one = (xp.asarray(images()["batch"][:n]) for n in (0, 1))
    with pytest.raises(ValueError, match="found .*0.*, expected at least (1|one)"):
      call(tiny_params, none, one)
