"""Prepares a study: encodes utterances, loads the encoder, computes covariates, and writes packs for offline machines."""
