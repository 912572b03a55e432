"""Features and labels, as dbt derives them."""
