"""The parts of the window together: made and wired, a module a page."""

# PySide6 reads the source of every module that is loaded after it, in search of its own name: a tenth of the start.
import qviz.core
import qviz.files.readers
import qviz.files.writers  # noqa: F401
