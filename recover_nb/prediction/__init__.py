"""What else the features tell: methods, transfer to another family, and what reading would tell."""
