"""What is learned: MASSIVE, the phrasebook, a user's own files; words and labels; flat arrays of sub-tokens."""
