"""Statistics of R: donors and receivers, groups, intervals, positions, sentences."""
