"""A model's name or address becomes verified files on this machine."""
