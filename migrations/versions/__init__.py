"""Schema changes, one file a step; a released one is never edited."""
