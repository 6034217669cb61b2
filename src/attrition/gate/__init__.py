"""May an update of a deployed tagger be shipped? Old and new predictions are compared, slice by slice."""
