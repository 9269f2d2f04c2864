"""What serves a model: one Protocol, a file for each way of keeping it."""
