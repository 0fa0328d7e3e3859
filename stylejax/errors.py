"""The one exception for a user's mistake.

Raised at the edge where something wrong enters; the commands print it as one line and exit with 2.
"""


class InputError(ValueError):
  """Something the user passed is wrong: names the thing, what was found, what was expected."""
