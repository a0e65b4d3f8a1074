"""Runs on Kubeflow Pipelines: connect, check, upload, start, follow and schedule."""
