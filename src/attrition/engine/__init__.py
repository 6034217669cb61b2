"""Runs a study: which stages, how long they take, and what a finished run leaves."""
