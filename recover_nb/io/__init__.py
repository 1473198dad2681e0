"""Converters, a file a format: ``from_<format>`` reads into a study, ``to_<format>`` writes."""
