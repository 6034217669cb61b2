"""Reads results folders: runs with their specification, R, metrics, history and times. Needs no torch."""
