"""What a study needs before its first step: encoded utterances, an encoder, covariates; and packs for machines without them."""
