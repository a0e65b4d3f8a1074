"""Runs on this machine, on KFP's local runner."""
