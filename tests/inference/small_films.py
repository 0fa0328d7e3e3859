"""A small film, and functions that run it, stop it and stylize its keyframes quickly."""

import dataclasses

import numpy as np
from PIL import Image

import stylejax
from stylejax.images import frame_folders
from stylejax.inference import sequence

SHAPE = (33, 48)
FRAMES = 8
CUT = 6  # The first frame of the second scene, from 1.


def make_film(root, params):
  """A request for a film of two scenes, which pan by 2 pixels a frame, in a new folder."""
  rng = np.random.default_rng(0)
  scenes = [
    np.asarray(Image.fromarray(rng.integers(0, 256, (9, 20, 3), np.uint8)).resize((80, 33), 3))
    for _ in range(2)
  ]
  (root / "frames").mkdir()
  for number in range(FRAMES):
    scene = scenes[number + 1 >= CUT]
    image = Image.fromarray(scene[:, 2 * number : 2 * number + SHAPE[1]])
    image.save(root / "frames" / f"{number}.png")
  Image.fromarray(scenes[0].transpose(1, 0, 2)).save(root / "style.png")
  return sequence.SequenceRequest(
    content=root / "frames",
    style=[root / "style.png"],
    output=root / "out",
    weights=stylejax.save_weights(root / "w.safetensors", params),
    style_size=32,
  )


def run(film, output, **changes):
  """(report, frames [N, H, W, 3])."""
  report = sequence.stylize_sequence(dataclasses.replace(film, output=output, **changes))
  return report, frames_of(output)


def frames_of(folder):
  return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def inverted(method, styles, weights):
  """Stylizes keyframes at once: inverts the content; the filling plays no part."""
  del method, styles, weights
  return lambda content, start, begins: 1 - content


def stop_at(monkeypatch, number):
  """Makes the writer of frames stop as if by Ctrl-C."""
  write = frame_folders.FolderWriter.write

  def stop(self, frame):
    if len(self._names) == number:
      raise KeyboardInterrupt
    write(self, frame)

  monkeypatch.setattr(frame_folders.FolderWriter, "write", stop)
