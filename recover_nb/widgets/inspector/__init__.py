"""The trace inspector: problems, a trace, what would have been said, and what was tried."""

from recover_nb.widgets.inspector.view import TraceInspector

__all__ = ["TraceInspector"]
