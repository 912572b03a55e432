"""SQL functions, created or replaced at the end of every migration run."""
