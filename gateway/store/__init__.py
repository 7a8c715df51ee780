"""The durable log and the one way to read it."""
