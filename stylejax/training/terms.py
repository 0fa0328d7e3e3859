"""The table of the loss terms of the task "transfer".

A term consists of a row here, a function in stylejax/losses/ and the field NAME_weight of
`TransferConfig`. A term whose weight is 0 is not computed.
"""

import dataclasses
from collections.abc import Callable

import flax
import jax

from stylejax.losses import color, features, patches, pixels, pyramid
from stylejax.losses.adversarial import Scores
from stylejax.losses.features import Features

CONTENT_LAYERS = {"relu4_1": 1.0, "relu3_1": 0.5}
DETAIL_LAYERS = {"relu2_1": 1.0, "relu1_1": 1.0}
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
PATCH_LAYERS = ("relu3_1", "relu4_1")
RESNET_PATCH_LAYERS = ("conv3_x", "conv4_x")
RESNET_CONTENT_LAYERS = {"conv2_x": 0.5, "conv3_x": 1.0}
RESNET_EPS = 1e-3  # its features have a variance of about 0.1


@flax.struct.dataclass
class NetFeatures:
  """Features of one perceptual net for the three images of each example.

  Attributes:
    stylized, content, style: {layer: [B, H, W, C]}.
  """

  stylized: Features
  content: Features
  style: Features

  def only(self, layers: tuple[str, ...]) -> "NetFeatures":
    """The features of the given layers only."""

    def pick(net_features):
      return {layer: net_features[layer] for layer in layers}

    return NetFeatures(pick(self.stylized), pick(self.content), pick(self.style))


@dataclasses.dataclass(frozen=True)
class Views:
  """What a term may use: images, their features, and the discriminator's scores.

  Attributes:
    stylized, content, style: [B, S, S, 3] in [0, 1].
    strength: [B], 0 to 1: how far the stylized images should be between content and style.
    restyled, original: [B, S/2, S/2, 3], images stylized with their own style, and these images.
    vgg, resnet: features of the perceptual nets; None for a net that no term uses.
    taught: [B, S, S, 3], the teacher's stylized images; None without a teacher.
    scores: gives the discriminator's scores of the stylized images.
  """

  stylized: jax.Array
  content: jax.Array
  style: jax.Array
  strength: jax.Array
  restyled: jax.Array
  original: jax.Array
  vgg: NetFeatures | None
  resnet: NetFeatures | None
  scores: Callable[[], Scores]
  taught: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class Term:
  """One term of the loss.

  Attributes:
    name: the name of the metric, and of the weight's field without "_weight".
    loss: `loss(views, gen_loss)` → [B]; gen_loss is the generator's adversarial loss.
    net: the frozen net that it uses: "vgg16", "resnet50", "teacher", or None.
  """

  name: str
  loss: Callable[[Views, Callable], jax.Array]
  net: str | None = None


def _style_loss(function: Callable, views: Views, net: NetFeatures, **settings) -> jax.Array:
  return function(net.stylized, net.style, content=net.content, strength=views.strength, **settings)


def _patch_loss(views: Views, net: NetFeatures) -> jax.Array:
  return patches.patch_loss(net.stylized, net.style, strength=views.strength)


def _image_style_loss(function: Callable, views: Views) -> jax.Array:
  return function(views.stylized, views.style, content=views.content, strength=views.strength)


TERMS = (
  Term(
    "content",
    lambda v, _: features.content_loss(v.vgg.stylized, v.vgg.content, CONTENT_LAYERS),
    net="vgg16",
  ),
  Term(
    "style",
    lambda v, _: _style_loss(features.moment_style_loss, v, v.vgg.only(STYLE_LAYERS)),
    net="vgg16",
  ),
  Term("identity", lambda v, _: pixels.l1_loss(v.restyled, v.original)),
  Term("tv", lambda v, _: pixels.total_variation(v.stylized)),
  Term(
    "detail",
    lambda v, _: features.content_loss(v.vgg.stylized, v.vgg.content, DETAIL_LAYERS),
    net="vgg16",
  ),
  Term("structure", lambda v, _: pixels.structure_loss(v.stylized, v.content)),
  Term("spurious_edge", lambda v, _: pixels.spurious_edge_loss(v.stylized, v.content)),
  Term("spurious_color", lambda v, _: pixels.spurious_color_loss(v.stylized, v.content)),
  Term("grid", lambda v, _: pixels.grid_loss(v.stylized)),
  Term("color", lambda v, _: _image_style_loss(color.color_loss, v)),
  Term("pyramid", lambda v, _: _image_style_loss(pyramid.pyramid_loss, v)),
  Term(
    "resnet",
    lambda v, _: _style_loss(features.moment_style_loss, v, v.resnet, eps=RESNET_EPS),
    net="resnet50",
  ),
  Term(
    "resnet_content",
    lambda v, _: features.content_loss(
      v.resnet.stylized, v.resnet.content, RESNET_CONTENT_LAYERS, eps=RESNET_EPS
    ),
    net="resnet50",
  ),
  Term("patch", lambda v, _: _patch_loss(v, v.vgg.only(PATCH_LAYERS)), net="vgg16"),
  Term(
    "resnet_patch", lambda v, _: _patch_loss(v, v.resnet.only(RESNET_PATCH_LAYERS)), net="resnet50"
  ),
  Term(
    "gram",
    lambda v, _: _style_loss(features.gram_style_loss, v, v.vgg.only(STYLE_LAYERS)),
    net="vgg16",
  ),
  Term("teacher", lambda v, _: pixels.multiscale_l1_loss(v.stylized, v.taught), net="teacher"),
  Term("adversarial", lambda v, gen_loss: gen_loss(v.scores())),
)


def active_terms(config) -> tuple[Term, ...]:
  """The terms whose weight in the config is above 0."""
  return tuple(term for term in TERMS if weight(config, term) > 0)


def weight(config, term: Term) -> float:
  """The config's weight of a term."""
  return getattr(config, f"{term.name}_weight")
