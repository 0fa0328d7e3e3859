"""The one exception for a user's mistake.

It is raised where a wrong value enters; the commands print it as one line and exit with status 2.
"""


class InputError(ValueError):
  """The user passed something wrong: names the thing, what was found and what was expected."""
