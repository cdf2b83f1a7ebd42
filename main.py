"""``python main.py`` is ``qviz``."""

from qviz.__main__ import main

if __name__ == "__main__":
    main()
