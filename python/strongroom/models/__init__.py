"""From a reference to a sealed, proved image."""
