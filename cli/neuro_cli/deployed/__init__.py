"""A deployed pipeline seen from outside, on AWS or in the local service: what `upload`, `status` and `replay` do."""
