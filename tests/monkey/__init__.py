"""Does the window survive every hand? Random actions on the real window, and what must hold while they are done."""
