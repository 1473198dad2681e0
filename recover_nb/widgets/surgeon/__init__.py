"""The trace surgeon: branch a failed answer at a token, with retry beside an operator."""

from recover_nb.widgets.surgeon.view import OPERATORS, TraceSurgeon

__all__ = ["OPERATORS", "TraceSurgeon"]
