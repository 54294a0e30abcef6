"""Progress display, metrics, health checks, rollout files and profiles of a run."""
