"""QtCore only: the one truth of the window, its worker and its settings."""
