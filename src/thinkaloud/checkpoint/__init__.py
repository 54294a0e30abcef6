"""Adapters and optimizer state on disk."""
