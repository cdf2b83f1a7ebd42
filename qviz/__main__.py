"""How does ``qviz`` begin? ``python -m qviz`` and the command do the same; Ctrl+C ends what is still being imported."""

from qviz.cli.interrupts import at_once


def main() -> None:
    """Run the command that the arguments name."""
    with at_once():
        from qviz.cli.main import main as run
    run()


if __name__ == "__main__":
    main()
