"""The sources: one adapter each."""
