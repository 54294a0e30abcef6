"""What a run shows and records: progress, metrics, health checks, rollouts, profiles."""
