"""Choosing the model for a request, from one thread, many, or an event loop."""
