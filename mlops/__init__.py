"""Forecastle: a forecasting system inside its warehouse.

The rooms, in the order of the data: sources, warehouse, features, checks, datasets, training, registry,
forecasting, outcomes, drift. Stages do not import each other: they share tables and `mlops.domain`.
"""
