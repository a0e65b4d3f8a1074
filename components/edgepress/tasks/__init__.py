"""Kinds of learning task, and the metrics that models are measured by: each declared once, on numpy alone."""
