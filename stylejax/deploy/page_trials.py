"""Compares the page's models, run by onnxruntime on a whole image, with the package.

The page itself runs them in tiles (stylejax/deploy/web/tiles.mjs).
"""

import json
from collections.abc import Callable, Mapping

import jax
import numpy as np
import onnxruntime

from stylejax import transfer
from stylejax.deploy.export import tolerance_of
from stylejax.deploy.onnx_stages import Plan
from stylejax.deploy.trials import differences
from stylejax.models.noise_map import noise_map

_EPS = 1e-5  # as in the moments of the networks
_CELLS = (8, 6)
"""Height and width of the trial image, in cells of the stride."""

Run = Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]
"""(name of a model, inputs by name) → outputs by name."""


def check(files: Mapping[str, bytes], params: transfer.Params) -> None:
  """Compares the models among a page's files with the package, on sample images.

  Raises:
    InputError: they differ by more than rounding explains.
  """
  plan = Plan(**json.loads(files["models/plan.json"]))
  run = runner(
    {
      name.removeprefix("models/").removesuffix(".onnx"): data
      for name, data in files.items()
      if name.endswith(".onnx")
    }
  )

  def encode_style(style):
    return (run("style", {"style": style})["code"],)

  def paint(contents, code, noise_gain):
    images = [paint_whole(run, plan, content, code, noise_gain) for content in contents]
    return (np.stack(images),)

  size = _CELLS[0] * plan.stride, _CELLS[1] * plan.stride
  # Models that run on a CPU can't be compared with an accelerator's fast convolutions.
  with jax.default_matmul_precision("highest"):
    for name, function in (("encode_style", encode_style), ("paint", paint)):
      differences(name, function, params, (size,), tolerance_of(name, params, "cpu"))


def runner(models: Mapping[str, bytes]) -> Run:
  """Makes a function that runs serialized models by name, on the CPU."""
  sessions = {
    name: onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for name, data in models.items()
  }

  def run(name: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    outputs = [output.name for output in sessions[name].get_outputs()]
    return dict(zip(outputs, sessions[name].run(outputs, feeds), strict=True))

  return run


def paint_whole(
  run: Run, plan: Plan, content: np.ndarray, code: np.ndarray, noise_gain: float
) -> np.ndarray:
  """Stylizes an image of whole cells with a style code, as tiles.mjs does with a single tile.

  Args:
    run: runs the models of `onnx_stages.stage_models`.
    plan: the plan for these models.
    content: [H, W, 3] float32 in [0, 1].
    code: [D].
    noise_gain: 1 to 2.

  Returns:
    [H, W, 3], not blended with the content.
  """
  height, width = content.shape[:2]
  maps, moments = _encoded(run, plan, content)
  feeds = {"code": code}
  for name, (mean, variance) in moments.items():
    feeds |= {f"{name}/mean": mean, f"{name}/std": np.sqrt(variance + _EPS)}
  targets = run("targets", feeds)
  for number, stage in enumerate(plan.stages):
    feeds = {}
    for name in filter(None, [*stage["inputs"], stage["fine"]]):
      mean, variance = moments[name]
      scale = targets[f"{name}/gain"] / np.sqrt(variance + _EPS)
      feeds |= {f"{name}/scale": scale, f"{name}/shift": targets[f"{name}/bias"] - mean * scale}
      level = maps[name]
      feeds |= {"pixels": content} if level is None else {name: level}
      if plan.maps[name]["noise"]:
        cell = plan.cell(plan.maps[name]["depth"])
        noise = np.asarray(noise_map(height // cell, width // cell))
        feeds[f"{name}/noise"] = noise[None, None]
        feeds[f"{name}/noise_std"] = np.float32(noise_gain) * targets[f"{name}/noise_std"]
    cell = plan.cell(plan.maps[stage["inputs"][0]]["depth"])
    for axis, length in (("rows", height), ("columns", width)):
      feeds[axis] = _all_of(length // cell * stage["finer"])
    found = run(f"stage{number}", feeds)
    if stage["output"] == "image":
      return found["image"]
    maps[stage["output"]] = found["output"]
    moments[stage["output"]] = found["mean"], found["variance"]
  raise AssertionError("no stage gives the image")


def _encoded(run: Run, plan: Plan, content: np.ndarray) -> tuple[dict, dict]:
  """(the content's maps, None for the finest, which isn't kept; the moments of all maps)."""
  height, width = content.shape[:2]
  feeds = {"pixels": content}
  for level in range(len(plan.levels)):
    feeds[f"rows{level}"] = _all_of(height // plan.cell(level))
    feeds[f"columns{level}"] = _all_of(width // plan.cell(level))
  found = run("encoder", feeds)
  names = [f"level{level}" for level in range(len(plan.levels))]
  return (
    {name: found.get(name) for name in names},
    {name: (found[f"{name}/mean"], found[f"{name}/variance"]) for name in names},
  )


def _all_of(length: int) -> np.ndarray:
  return np.array([0, length], np.int64)
