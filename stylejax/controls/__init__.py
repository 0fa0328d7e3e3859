"""The arithmetic of every control, as pure functions of arrays; the networks live in `models`."""
