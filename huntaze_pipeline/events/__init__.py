"""How facts come in: the envelope, the inbox and the importers. What they mean is decided later."""
