"""`train --losses` has a case for every term of the loss, and each can be traced."""

import jax

from benchmarks.harness import timing
from benchmarks.speed import train
from stylejax.training import terms
from stylejax.training.tasks import TransferConfig


def test_every_term_has_a_case_and_a_gradient(monkeypatch):
  """Traced only: compiling each would take minutes."""

  def traced(name, function, arguments, batch, about):
    return name, jax.tree.leaves(jax.eval_shape(function, *arguments))

  monkeypatch.setattr(timing, "jit_case", traced)
  cases = dict(train.loss_cases(TransferConfig(preset="tiny", batch=2, size=32)))
  assert {f"loss: {term.name}" for term in terms.TERMS} < set(cases)
  for name, leaves in cases.items():
    assert leaves, name
