"""Settings from outside: the file, the environment and the command line, and where each value came from."""
