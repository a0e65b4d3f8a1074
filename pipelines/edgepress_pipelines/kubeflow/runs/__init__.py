"""Runs on Kubeflow: start them, find them, follow them."""
