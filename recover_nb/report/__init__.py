"""The report of a study: one self-contained HTML file.

`page` decides what is said, `markup` how it is written.
"""

from recover_nb.report.write import write_html

__all__ = ["write_html"]
