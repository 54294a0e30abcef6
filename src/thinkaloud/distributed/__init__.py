"""Several processes of one run: how they agree, and how their gradients are summed."""
