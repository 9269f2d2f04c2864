"""Benchmarks: ratios of Strongroom to what it stands on, measured in one run by alternating pairs."""
