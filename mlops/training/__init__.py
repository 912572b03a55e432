"""Models from arrays: pure, no connection."""
