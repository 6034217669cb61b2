"""Training: batches, the loop, the optimiser, prediction."""
