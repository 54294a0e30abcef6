"""Training in several processes: agreement on decisions, and sums of gradients."""
