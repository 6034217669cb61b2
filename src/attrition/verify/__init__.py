"""Checks a results folder: checksums, numbers against counts, stages scored again."""
