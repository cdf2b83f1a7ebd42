"""The parts of the window together: made and wired, a module a page."""

# Before PySide6, which looks into every module that is loaded after it until `qviz.session.features` spares them that.
import qviz.core
import qviz.files.readers
import qviz.files.writers  # noqa: F401
