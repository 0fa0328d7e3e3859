"""The commands: options, help texts, messages; what they do is elsewhere."""
