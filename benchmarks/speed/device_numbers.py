"""What an accelerator has to compute like a CPU: a stylized image, train steps, exported files.

The CPU's numbers are in `device_reference.npz`; `TOLERANCES` says how far others may differ.
"""

import contextlib
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.export
import numpy as np
from PIL import Image

import stylejax
from stylejax import transfer
from stylejax.training.loop import load_frozen
from stylejax.training.replicas import make_replicas
from stylejax.training.state import init_state
from stylejax.training.streams import SAMPLES
from stylejax.training.tasks import TransferConfig, task_of
from stylejax.weights.tree_hash import tree_hash

REFERENCE = Path(__file__).with_name("device_reference.npz")
SIDE, STEPS = 96, 3
TOLERANCES = {
  # Only the order of summation differs; 30 times the difference that a CPU's own options make.
  "highest": 3e-4,
  # The device may round the operands of float32 products: to 11 bits on NVIDIA (TF32), to 8 on TPUs
  # (bfloat16). So twice the difference between bfloat16 throughout and float32 on a CPU.
  "default": "2 × bfloat16",
  # bfloat16 throughout, in another order of summation: three times that difference.
  "bfloat16": "3 × bfloat16",
}
"""The largest difference from the CPU's float32: of a pixel in [0, 1], or relative, of a loss."""


def photos(side: int) -> tuple[np.ndarray, np.ndarray]:
  """A sample photo and a sample artwork as squares of float32 in [0, 1]."""
  found = []
  for name in ("content/cat.jpg", "style/irises.jpg"):
    image = Image.open(SAMPLES / name).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    found.append(np.asarray(image, np.float32) / 255)
  return found[0], found[1]


def stylized(dtype: str = "float32") -> np.ndarray:
  """The photo in the style of the artwork, by the shipped weights: [SIDE, SIDE, 3]."""
  params = stylejax.load_pretrained()
  if dtype != "float32":
    params = params.replace(config=_in(params.config, dtype))
  content, style = photos(SIDE)
  return np.asarray(jax.jit(transfer.stylize)(params, content[None], style[None])[0], np.float32)


def losses(dtype: str = "float32") -> np.ndarray:
  """Metrics of the first steps of a small training: [STEPS, 4]."""
  config = TransferConfig(preset="tiny", size=64, batch=2, dtype=dtype, learning_rate=1e-4)
  step = task_of(config).make_train_step(config)
  replicas = make_replicas("shard_map", step, devices=jax.local_devices()[:1])
  state = jax.jit(lambda: init_state(config))().replace(frozen=load_frozen(config))
  state = replicas.put_state(state)
  images = np.stack(photos(64)) * 255
  batch = {
    "content": images[[0, 0]].astype(np.uint8),
    "style": images[[1, 1]].astype(np.uint8),
    "index": np.arange(2, dtype=np.int32),
  }
  rows = []
  for _ in range(STEPS):
    state, metrics = replicas.step(state, replicas.put_batch(batch))
    taken = replicas.take_metrics(metrics)
    rows.append([taken[name] for name in ("loss", "content", "style", "grad_norm")])
  return np.asarray(rows, np.float64)


def exported(kind: str) -> np.ndarray:
  """`stylized` by an exported file: "zip", a program on this device, or "onnx", on the CPU."""
  content, style = photos(SIDE)
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, f"stylize.{kind}")
    platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    platforms = (platform,) if kind == "zip" else None
    stylejax.export(stylejax.load_pretrained(), path, platforms=platforms, sizes=((SIDE, SIDE),))
    if kind == "zip":
      with zipfile.ZipFile(path) as file:
        program = jax.export.deserialize(bytearray(file.read("stylize.bin")))
      return np.asarray(program.call(content[None], style, np.float32(1))[0])
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {"content": content[None], "style": style, "strength": np.ones((), np.float32)}
    return session.run(None, inputs)[0][0]


def write() -> None:
  """Writes the reference; must run on a CPU."""
  assert jax.default_backend() == "cpu", jax.default_backend()
  image, rows = stylized(), losses()
  apart = {
    "image": float(np.abs(stylized("bfloat16") - image).max()),
    "losses": float(_relative(losses("bfloat16"), rows)),
  }
  weights = tree_hash(stylejax.load_pretrained())
  np.savez_compressed(
    REFERENCE, image=image, losses=rows, bfloat16=json.dumps(apart), weights=weights
  )
  print(f"wrote {REFERENCE.name}: bfloat16 is at most {apart} from float32")


def compared(
  *, short: bool = False, on_row: Callable[[dict], None] = lambda row: None
) -> list[dict]:
  """[{"what", "precision", "difference", "tolerance", "holds"}] of this device.

  Args:
    short: leave out what a CPU would compute twice, since it has one precision for float32.
    on_row: called with each row as soon as it is there.
  """
  with np.load(REFERENCE) as held:
    image, rows, apart = held["image"], held["losses"], json.loads(str(held["bfloat16"]))
  checks: list[tuple[str, str, Callable[[], float]]] = []
  for precision in TOLERANCES:
    if short and precision == "default":
      continue
    dtype = "bfloat16" if precision == "bfloat16" else "float32"
    checks.append(("image", precision, lambda dtype=dtype: np.abs(stylized(dtype) - image).max()))
    if not short or precision == "highest":
      checks.append(("losses", precision, lambda dtype=dtype: _relative(losses(dtype), rows)))
  checks.append(("exported program", "default", lambda: np.abs(exported("zip") - image).max()))
  with contextlib.suppress(ImportError):
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401

    checks.append(("exported model", "highest", lambda: np.abs(exported("onnx") - image).max()))
  found = []
  for what, precision, difference in checks:
    with jax.default_matmul_precision("highest" if precision == "highest" else "default"):
      value = float(difference())
    tolerance = _tolerance(precision, apart["losses" if what == "losses" else "image"])
    found.append(
      {
        "what": what,
        "precision": precision,
        "difference": value,
        "tolerance": tolerance,
        "holds": value <= tolerance,
      }
    )
    on_row(found[-1])
  return found


def line(row: dict) -> str:
  """A row in words."""
  return (
    f"{'holds' if row['holds'] else 'WRONG'}: {row['what']}, {row['precision']}: at most "
    f"{row['difference']:.1e} from the CPU, expected {row['tolerance']:.1e}"
  )


def _tolerance(precision: str, bfloat16: float) -> float:
  stated = TOLERANCES[precision]
  return stated if isinstance(stated, float) else int(stated.split()[0]) * bfloat16


def _relative(actual: np.ndarray, expected: np.ndarray) -> float:
  return float(np.abs(actual / expected - 1).max())


def _in(config, dtype: str):
  return type(config).from_dict(config.to_dict() | {"dtype": dtype})
