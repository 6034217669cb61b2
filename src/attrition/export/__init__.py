"""Stored stages as models that other programs load."""
