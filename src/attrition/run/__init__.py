"""Studies: their files, their stages named by content, the store, the engine that runs them."""
