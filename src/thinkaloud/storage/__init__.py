"""The one place that writes files: run directories, locks, atomic writes, staging folders, file hashes."""
