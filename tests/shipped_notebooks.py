"""The notebooks of the project, and where the errors of one that has run can be."""

from pathlib import Path

STATE = "application/vnd.jupyter.widget-state+json"

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
TOUR = NOTEBOOKS[0]


def errors_of(notebook):
    """Return the errors in the outputs of cells, and those that `Output` widgets swallowed."""
    shown = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    swallowed = [
        out
        for model in models.values()
        if model.get("model_name") == "OutputModel"
        for out in model.get("state", {}).get("outputs", [])
    ]
    return [out for out in (*shown, *swallowed) if out["output_type"] == "error"]
