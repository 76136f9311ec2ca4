"""Small models and data sets that stand in for large ones where there is no hub: made here, the same each time."""
