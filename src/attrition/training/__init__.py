"""How it learns: batches, the only loop, the optimiser, prediction."""
