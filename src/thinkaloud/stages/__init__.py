"""The stages of `thinkaloud train`: each goes on from what the run directory holds, and leaves its result there."""
