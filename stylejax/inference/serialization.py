"""How `jax.export` writes down the trees that stylejax's steps take and return.

They are registered when this is imported; `compiled_step` is that of `runtime.trace_cache`.
"""

import json

import jax
import jax.export

from stylejax import transfer
from stylejax.models import padding
from stylejax.models.config import ModelConfig
from stylejax.runtime.trace_cache import compiled_step

__all__ = ["compiled_step"]


def _register() -> None:
  """Names each tree and says how its static part becomes bytes."""
  register = jax.export.register_pytree_node_serialization
  register(
    transfer.Params,
    serialized_name="stylejax.Params",
    serialize_auxdata=lambda static: json.dumps(static[0].to_dict()).encode(),
    deserialize_auxdata=lambda data: (ModelConfig.from_dict(json.loads(data)),),
  )
  register(
    transfer.ContentCode,
    serialized_name="stylejax.ContentCode",
    serialize_auxdata=lambda static: json.dumps(static).encode(),
    deserialize_auxdata=lambda data: tuple(map(tuple, json.loads(data))),
  )
  register(
    padding.Edges,
    serialized_name="stylejax.Edges",
    serialize_auxdata=lambda static: json.dumps(static).encode(),
    deserialize_auxdata=lambda data: _static_edges(*json.loads(data)),
  )
  register(
    transfer.StyleCode,
    serialized_name="stylejax.StyleCode",
    serialize_auxdata=lambda static: b"",
    deserialize_auxdata=lambda data: (),
  )


def _static_edges(shape, wrap, axis_name):
  return tuple(shape), tuple(wrap), axis_name


_register()
