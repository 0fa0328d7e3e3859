"""Commands whose images are kept: one for each control, backend and size class.

Each is a command line after `infer.py`, for inputs in the folder `inputs`; an output that is a
folder ends in a slash. Names are those of the kept images.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent

CONTENT = ("--content", "cat.png")
WAVE = ("--style", "wave.png")

CASES = {
  "plain": (*CONTENT, *WAVE),
  "strength_half": (*CONTENT, *WAVE, "--strength", "0.5"),
  "strength_beyond": (*CONTENT, *WAVE, "--strength", "1.7"),
  "strength_zero": (*CONTENT, *WAVE, "--strength", "0"),
  "strength_map": (*CONTENT, *WAVE, "--strength", "1.5", "--strength-map", "map.png"),
  "color_luminance": (*CONTENT, *WAVE, "--preserve-color", "1"),
  "color_moments": (*CONTENT, *WAVE, "--preserve-color", "0.7", "--color-mode", "moments"),
  "stroke": (*CONTENT, *WAVE, "--stroke", "0.5"),
  "mix": (*CONTENT, "--style", "wave.png:0.7", "irises.png:0.3"),
  "regions": (*CONTENT, *WAVE, "--mask", "mask.png=irises.png", "--strength", "0.8"),
  "region_alone": (*CONTENT, "--mask", "map.png=irises.png"),
  "interpolate": (*CONTENT, "--style", "wave.png", "irises.png", "--interpolate", "3"),
  "seed": (*CONTENT, "--seed", "7"),
  "size": (*CONTENT, *WAVE, "--size", "48"),
  "tiles": (
    *CONTENT,
    *WAVE,
    "--tile",
    "0.01",
    "--size",
    "160",
    "--preserve-color",
    "0.5",
    "--strength",
    "0.6",
  ),
  "tiles_regions": (
    *CONTENT,
    *WAVE,
    "--tile",
    "0.01",
    "--size",
    "160",
    "--mask",
    "mask.png=irises.png",
    "--strength",
    "1.3",
  ),
  "seamless": (*CONTENT, *WAVE, "--seamless", "xy"),
  "shard": (*CONTENT, *WAVE, "--shard", "--size", "160", "--strength", "0.6"),
  "folder": (
    "--content",
    "cat.png",
    "other.png",
    "--style",
    "wave.png",
    "irises.png",
    "--preserve-color",
    "0.5",
    "--color-mode",
    "moments",
  ),
  "optimize": ("--method", "gram", *CONTENT, *WAVE, "--size", "64", "--steps", "8"),
  "sequence": (
    *("--sequence", "--content", "frames", *WAVE, "--strength", "0.9"),
    *("--motion", "ignored", "--smoothing", "0.8"),
  ),
  "film": ("--sequence", "--content", "frames", *WAVE, "--strength", "0.9"),
}
FOLDERS = ("folder", "sequence", "film")
DESCENTS = ("optimize",)
