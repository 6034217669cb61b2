"""Checks a results folder: checksums, numbers against stored counts, stages scored again."""
