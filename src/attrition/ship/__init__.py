"""Updates a deployed tagger: predictions of checkpoints, training on a new language, choice of the model to ship."""
