"""Models that lie encrypted: one directory of sealed files, and an index of their names."""
