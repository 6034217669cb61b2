"""Decides if an update of a deployed tagger may be shipped: compares old and new predictions, slice by slice."""
