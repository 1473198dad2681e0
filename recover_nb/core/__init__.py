"""What a study is: schema, labels, errors, shipped data."""
