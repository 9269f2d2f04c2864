"""What is measured: each a program that answers lines of prompts, see `benches.peers.serving`."""
