"""The images that components run in: one per dependency closure, named here and nowhere else."""

TRAINER = "edgepress/trainer"
"""TensorFlow, TFMOT: whatever reads data sources, trains, compresses or converts."""

EVALUATOR = "edgepress/evaluator"
"""LiteRT without TensorFlow: whatever measures, judges or reports."""

RELEASER = "edgepress/releaser"
"""LiteRT and the object store's client: whatever publishes."""

CONTROLLER = "edgepress/controller"
"""The clients of KFP and Kubernetes: whatever runs beside the pipelines on a cluster."""

AGENT = "edgepress/agent"
"""LiteRT and TUF: what runs on a device."""

IMAGES = (TRAINER, EVALUATOR, RELEASER, CONTROLLER, AGENT)
"""All of them. Each has a Dockerfile and an extra of pyproject.toml of the same last name."""
