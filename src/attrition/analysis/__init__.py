"""What R means: donors and receivers, groups, intervals, positions, words."""
