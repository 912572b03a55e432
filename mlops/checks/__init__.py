"""Whether today's data may be used: Great Expectations against the warehouse, results in monitoring."""
