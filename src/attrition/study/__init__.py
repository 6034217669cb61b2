"""Study files: what they say, as runs of steps, each named by what decides its numbers."""
