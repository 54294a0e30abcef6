"""Training in several processes: connecting them, agreement on decisions, and the end of a lost one."""
