"""Question Generation RL: train a language model to write technical screening questions."""

__version__ = "0.1.0"
