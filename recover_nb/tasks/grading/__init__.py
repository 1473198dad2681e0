"""Graders: where an answer stands in a text, what it says, and whether it is the gold answer."""

from recover_nb.tasks.grading.referee import Grade, can_grade, grade

__all__ = ["Grade", "can_grade", "grade"]
