"""``python main.py`` is ``qviz``."""

from qviz.cli.main import main

if __name__ == "__main__":
    main()
