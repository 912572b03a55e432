"""Where market data comes from, and the door it comes in by."""
