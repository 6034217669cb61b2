"""From a deployed tagger to its update: what checkpoints predict, how one learns a new language, what is shipped."""
