"""What turns texts into vectors: each a program that answers lines of texts, see `benches.embeddings`."""
