"""Training with GRPO: the step, the loop around it, its state and its checkpoints."""
