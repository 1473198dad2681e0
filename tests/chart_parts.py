"""Charts taken apart, for tests of every room that draws."""

#: Keys by which Vega-Lite would compute something: none may occur anywhere in a specification.
COMPUTING = (
    "aggregate",
    "bin",
    "calculate",
    "fold",
    "impute",
    "joinaggregate",
    "stack",
    "timeUnit",
    "transform",
    "window",
)


def parts(value, key=None):
    """Every (key, value) of a specification, data left out."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name != "datasets":
                yield name, item
                yield from parts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from parts(item, key)


def plain(frame):
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        {key: getattr(value, "item", lambda value=value: value)() for key, value in row.items()}
        for row in records
    ]
