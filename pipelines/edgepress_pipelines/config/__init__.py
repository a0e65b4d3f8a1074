"""The configuration: one YAML file, read strictly, every mistake told in one line."""
