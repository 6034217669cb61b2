"""The results folder: finished stages, checkpoints, evaluations, archives."""
