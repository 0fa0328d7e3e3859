"""What is measured on every stylized image: the columns of `benchmarks.quality.quality`.

Content and style are measured by VGG16, which losses use, and by nets that no loss uses; then
colors and artifacts. Outputs are compared as 8-bit images, resampled by area to 256×256.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks.quality import chroma, efficientnet, open_nsfw, patches
from benchmarks.quality.methods import IDENTITY, STYLE_ITSELF, Method
from benchmarks.quality.pairs import Pair, eight_bits, read, sha256
from stylejax.images.decode import DecodedImage
from stylejax.images.encode import resize
from stylejax.metrics.artifacts import find_artifacts
from stylejax.metrics.content import LPIPS_LAYERS, feature_distance, lpips_from_features, psnr, ssim
from stylejax.metrics.kernel_distance import kernel_distance, kernel_terms
from stylejax.metrics.style import (
  gram_distance_from_features,
  moment_distance_from_features,
  resize_area,
  sliced_color_distance,
)
from stylejax.models.vgg16 import STYLE_LAYERS, vgg16_features
from stylejax.runtime.files import replacing

ARTIFACTS = ("border", "grid", "blotch")
SIDE = 256
# Part of every cache key: raise it when a column changes its numbers.
VERSION = "5"
# {row: {column: [pairs]}}, and {row: features of crops [pairs, crops, D]}.
Rows = dict[str, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Evaluators:
  """The nets through which outputs are compared.

  Attributes:
    vgg_params: parameters of VGG16, up to conv5_3.
    heads: linear heads of the LPIPS form.
    second: EfficientNet-lite0 as `efficientnet.load` returns it, or None to leave its columns out.
    third: the ResNet as `open_nsfw.load` returns it, or None likewise.
    version: text that changes with the weights of these nets.
    own_size: whether content by VGG16, SSIM and PSNR are computed at the content's own size
      instead of at 256×256, which compiles once for every size.
  """

  vgg_params: Mapping[str, Any]
  heads: Mapping[str, jax.Array]
  second: Callable | None = None
  third: Callable | None = None
  version: str = ""
  own_size: bool = False


class Cache:
  """Keeps measurements and stylized images in files named by a hash of all they depend on."""

  def __init__(self, folder: Path | None):
    self.folder = folder
    if folder is not None:
      folder.mkdir(exist_ok=True)

  def numbers(self, key: str, measure: Callable[[], dict[str, np.ndarray]]) -> dict:
    """What `measure` returned, from the file if there is one."""
    path = self._path(key, ".npz")
    if path is not None and path.exists():
      with np.load(path, allow_pickle=False) as file:
        return dict(file)
    numbers = measure()
    if path is not None:
      with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **numbers)
    return numbers

  def image(self, key: str, stylize: Callable[[], np.ndarray]) -> np.ndarray:
    """What `stylize` returned, in 8 bits, from the file if there is one."""
    path = self._path(key, ".png")
    if path is not None and path.exists():
      return np.asarray(Image.open(path))
    image = eight_bits(stylize())
    if path is not None:
      with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
    return image

  def _path(self, key: str, suffix: str) -> Path | None:
    name = hashlib.sha256(key.encode()).hexdigest()[:32] + suffix
    return None if self.folder is None else self.folder / name


def cached_stylize(row: str, method: Method, cache: Cache) -> Callable[[Pair], np.ndarray]:
  """The method's function, returning uint8; what slow methods return is cached."""

  def stylize(pair: Pair) -> np.ndarray:
    if not method.slow:
      return eight_bits(method.stylize(pair))
    return cache.image(_key(row, method, pair), lambda: method.stylize(pair))

  return stylize


def evaluate(
  pairs: Sequence[Pair],
  methods: Mapping[str, Method],
  evaluators: Evaluators,
  *,
  cache: Cache | None = None,
  on_progress: Callable[[], None] = lambda: None,
) -> tuple[Rows, dict[str, np.ndarray]]:
  """Run every method on every pair and measure what comes out.

  Args:
    pairs: what to run on.
    methods: {row: method}.
    evaluators: the nets.
    cache: read first and filled along the way, so that an interrupted run can resume.
    on_progress: called after every image.

  Returns:
    ({row: {column: [pairs]}}, {row: features of crops by the second net, [pairs, crops, D]}), the
    latter empty without that net. Columns: "content" (LPIPS-form VGG), "ssim", "psnr" (dB, at most
    100), "style" (VGG moments), "gram", "color" (sliced Wasserstein), "chroma_detail",
    "plain_chroma" (× 10⁴), "border", "grid", "blotch" (above 1 is an alarm). A second net adds
    "content_lite0", "style_lite0", "style_lite0_half" and the columns of
    `benchmarks.quality.patches` with their floors; a third adds "style_resnet" and the columns of
    patches ending in "_resnet".
  """
  cache = Cache(None) if cache is None else cache
  numbers_of = {row: [] for row in methods}
  for pair in pairs:
    evaluator = functools.cache(functools.partial(_evaluator, evaluators, pair))
    for row, method in methods.items():
      key = f"{_key(row, method, pair)} {VERSION} {evaluators.version} {evaluators.own_size}"
      key += f" {evaluators.second is not None} {evaluators.third is not None}"
      stylize = functools.partial(cached_stylize(row, method, cache), pair)
      numbers_of[row].append(cache.numbers(key, lambda j=evaluator, p=stylize: j()(p())))
      on_progress()
  columns = {
    row: {column: np.array([n[column] for n in numbers]) for column in numbers[0]}
    for row, numbers in numbers_of.items()
  }
  crops = {row: values.pop("crops") for row, values in columns.items() if "crops" in values}
  return {
    row: {c: v.astype(np.float64) for c, v in values.items()} for row, values in columns.items()
  }, crops


def summarize(
  rows: Rows, crops: Mapping[str, np.ndarray] | None = None, *, resamples: int = 2000
) -> dict[str, dict[str, dict[str, float]]]:
  """Means over the pairs, each with its 95 % interval from resampling the pairs.

  Args:
    rows: as `evaluate` returns them.
    crops: likewise.
    resamples: number of bootstrap samples, drawn with a fixed seed and the same for all rows.

  Returns:
    {row: {column: {"mean", "low", "high"}}}. If the identity copy is among the rows, there are
    also "style_ratio", the mean style distance over the identity copy's, and "patch_way" and the
    like, the share of the way from the identity copy to the floor. If the style image itself is,
    there are "chroma_ratio", fine detail of chroma over the styles' own, and with crops "kid", of
    the outputs' crops against the style images'. The interval of "kid" comes from halves of the
    pairs: a bootstrap would compare images with themselves.
  """
  count = len(next(iter(next(iter(rows.values())).values())))
  draws = np.concatenate([np.arange(count)[None], bootstrap(count, resamples)])
  identity, itself = rows.get(IDENTITY), rows.get(STYLE_ITSELF)
  summary = {}
  for row, columns in rows.items():
    means = {
      column: values[draws].mean(1)
      for column, values in columns.items()
      if not column.endswith(patches.FLOOR)
    }
    if identity is not None:
      means["style_ratio"] = means["style"] / identity["style"][draws].mean(1)
      for column in set(patches.ALL_COLUMNS) & set(columns):
        means[column + "_way"] = patches.way(
          *(
            x[draws].mean(1)
            for x in (columns[column], identity[column], columns[column + patches.FLOOR])
          )
        )
    if itself is not None and "chroma_detail" in columns:
      means["chroma_ratio"] = means["chroma_detail"] / itself["chroma_detail"][draws].mean(1)
    summary[row] = {column: interval(values) for column, values in means.items()}
  styles = (crops or {}).get(STYLE_ITSELF)
  if styles is not None and count >= 4:
    rng = np.random.default_rng(0)
    halves = [rng.choice(count, count // 2, replace=False) for _ in range(200)]
    for row, features in crops.items():
      terms = kernel_terms(features, styles)
      summary[row]["kid"] = interval(
        np.array(
          [kernel_distance(terms), *(kernel_distance(terms, chosen=half) for half in halves)]
        )
      )
  return summary


def bootstrap(count: int, resamples: int = 2000) -> np.ndarray:
  """[resamples, count] indices drawn with a fixed seed."""
  return np.random.default_rng(0).integers(0, count, (resamples, count))


def interval(values: np.ndarray) -> dict[str, float]:
  """{"mean", "low", "high"}: the first value, and the 95 % interval of the others."""
  low, high = np.percentile(values[1:], (2.5, 97.5))
  return {"mean": float(values[0]), "low": float(low), "high": float(high)}


def alarms(columns: Mapping[str, np.ndarray]) -> dict[str, int]:
  """How many images have each kind of artifact."""
  return {artifact: int((columns[artifact] > 1).sum()) for artifact in ARTIFACTS}


def _key(row: str, method: Method, pair: Pair) -> str:
  return json.dumps([row, method.version(pair), sha256(pair.content), sha256(pair.style)])


def _evaluator(evaluators: Evaluators, pair: Pair) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """The function that measures an output for this pair, whose two images are described once."""
  layers = tuple(sorted({*LPIPS_LAYERS, *STYLE_LAYERS}))
  inputs = [eight_bits(read(path)) for path in (pair.content, pair.style)]
  height, width = inputs[0].shape[:2]

  def describe(eight: np.ndarray) -> dict[str, Any]:
    image = jnp.asarray(eight[None], jnp.float32) / 255
    small = resize_area(image, SIDE, SIDE)
    features = _features(evaluators.vgg_params, small, layers=layers)
    about = {"small": small, "features": features, "image": small, "content": features}
    if evaluators.own_size:
      if image.shape[1:3] != (height, width):
        image = resize_area(image, height, width)
      about |= {
        "image": image,
        "content": _features(evaluators.vgg_params, image, layers=LPIPS_LAYERS),
      }
    if evaluators.second is not None:
      whole = np.asarray(small)
      about["second"] = {
        name: f for name, f in evaluators.second(whole).items() if name != efficientnet.HEAD
      }
      about["half"] = evaluators.second(np.asarray(resize_area(small, SIDE // 2, SIDE // 2)))
      about["crops"] = evaluators.second(_crops(whole[0]))[efficientnet.HEAD]
    if evaluators.third is not None:
      about["third"] = evaluators.third(np.asarray(small))
      about["third_half"] = evaluators.third(np.asarray(resize_area(small, SIDE // 2, SIDE // 2)))
    return about

  content, style = descriptions = [describe(image) for image in inputs]
  floors = _floors(evaluators, inputs[1])

  def measure(output: np.ndarray) -> dict[str, np.ndarray]:
    # Two of the baselines return an input, which is described already.
    same = [np.array_equal(output, image) for image in inputs]
    description = descriptions[same.index(True)] if any(same) else describe(output)
    crops = {"crops": description["crops"]} if "crops" in description else {}
    numbers = _compare(
      evaluators.heads,
      *(
        {k: v for k, v in about.items() if k not in ("crops", "third_half")}
        for about in (description, content, style)
      ),
    )
    numbers |= _patches(description, style) | floors
    size = output.shape[:2]
    beside = resize(DecodedImage(read(pair.content), None, "RGB"), *size).rgb
    artifacts = find_artifacts(output / np.float32(255), beside)
    return {k: np.asarray(v) for k, v in {**numbers, **artifacts, **crops}.items()}

  return measure


def _patches(output: Mapping[str, Any], style: Mapping[str, Any]) -> dict[str, float]:
  """The columns of `benchmarks.quality.patches`, from what `describe` returned for both images."""
  columns = {}
  for suffix, sizes, names in (
    ("", ("second", "half"), efficientnet.PATCH_NAMES),
    (patches.RESNET, ("third", "third_half"), open_nsfw.PATCH_NAMES),
  ):
    values = [
      value
      for size in sizes
      if size in output
      for value in patches.patch_distances(output[size], style[size], names)
    ]
    columns |= {column + suffix: value for column, value in zip(patches.COLUMNS, values)}
  return columns


def _floors(evaluators: Evaluators, style: np.ndarray) -> dict[str, float]:
  """The same columns for the style's left half against its right, each as large as an output."""
  middle = style.shape[1] // 2
  halves: list[dict[str, Any]] = []
  for part in (style[:, :middle], style[:, -middle:]):
    small = resize_area(jnp.asarray(part[None], jnp.float32) / 255, SIDE, SIDE)
    whole, half = np.asarray(small), np.asarray(resize_area(small, SIDE // 2, SIDE // 2))
    about = {}
    if evaluators.second is not None:
      about |= {"second": evaluators.second(whole), "half": evaluators.second(half)}
    if evaluators.third is not None:
      about |= {"third": evaluators.third(whole), "third_half": evaluators.third(half)}
    halves.append(about)
  return {name + patches.FLOOR: value for name, value in _patches(*halves).items()}


_features = jax.jit(vgg16_features, static_argnames="layers")


@jax.jit
def _compare(heads, output, content, style) -> dict[str, jax.Array]:
  numbers = {
    "content": lpips_from_features(output["content"], content["content"], heads)[0],
    "ssim": ssim(output["image"], content["image"])[0],
    # Of equal images it is inf, which JSON doesn't have.
    "psnr": jnp.minimum(psnr(output["image"], content["image"])[0], 100.0),
    "style": moment_distance_from_features(output["features"], style["features"])[0],
    "gram": gram_distance_from_features(output["features"], style["features"])[0],
    "color": sliced_color_distance(output["small"], style["small"])[0],
    "chroma_detail": chroma.chroma_detail(output["small"])[0],
    "plain_chroma": 1e4 * chroma.plain_chroma(output["small"], content["small"])[0],
  }
  if "second" in output:
    names = efficientnet.NAMES
    numbers["content_lite0"] = feature_distance(output["second"], content["second"], names)[0]
    for column, size in (("style_lite0", "second"), ("style_lite0_half", "half")):
      numbers[column] = moment_distance_from_features(output[size], style[size], layers=names)[0]
  if "third" in output:
    numbers["style_resnet"] = moment_distance_from_features(
      output["third"], style["third"], layers=open_nsfw.NAMES
    )[0]
  return numbers


def _crops(image: np.ndarray) -> np.ndarray:
  """Nine overlapping squares of half the side: [9, SIDE / 2, SIDE / 2, 3]."""
  half, starts = SIDE // 2, (0, SIDE // 4, SIDE // 2)
  return np.stack([image[y : y + half, x : x + half] for y in starts for x in starts])
