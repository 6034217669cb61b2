"""Encoders: their sources, their forward pass for several learners at once, and LoRA."""
