"""Converters, one file per format: ``from_<format>`` reads into a study, ``to_<format>`` writes."""
