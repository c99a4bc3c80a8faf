"""The study of a frozen GAN: its training, what it draws, what a bandit and its rivals make of it, one HTML page."""
