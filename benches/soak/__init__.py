"""`make soak`: everything at once, for minutes, and an account of every request."""
