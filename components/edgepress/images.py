"""The images that components run in: one per dependency closure, named here and nowhere else."""

TRAINER = "edgepress/trainer"
"""TensorFlow, TFMOT: whatever reads data sources, trains, compresses or converts."""

EVALUATOR = "edgepress/evaluator"
"""LiteRT without TensorFlow: whatever measures, judges or reports."""

RELEASER = "edgepress/releaser"
"""LiteRT and the object store's client: whatever publishes."""
