"""Whether the world, or the model's luck, has changed."""
