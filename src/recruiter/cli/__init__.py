"""What the commands share: errors as one sentence."""
