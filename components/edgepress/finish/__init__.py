"""The exit handler: tells the metrics how a run ended."""
