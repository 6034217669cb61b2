"""What learns: where encoders come from, their forward pass for many learners at once, LoRA."""
