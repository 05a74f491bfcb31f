"""Multi-label classification for PyTorch, whole."""
