"""What a results folder holds: runs with their specification, R, metrics, history and times. Needs no torch."""
