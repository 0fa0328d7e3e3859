"""The commands: options, help texts and messages; other packages do the work."""
