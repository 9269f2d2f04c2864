"""Many requests at once: Strongroom in its sandbox against a bare llama.cpp loop and its peers in Python."""
