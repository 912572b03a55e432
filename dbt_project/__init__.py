"""The dbt project, shipped beside the library so that it is found when installed."""
