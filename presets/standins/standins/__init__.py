"""Small models and rows that stand in for large ones where there is no hub: made here, the same each time."""
