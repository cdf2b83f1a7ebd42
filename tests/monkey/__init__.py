"""Does the window survive every hand? Random actions of every kind on the real window, and what must hold while it does."""
