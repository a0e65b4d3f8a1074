"""KFP's API server and the Kubernetes API behind it, as this project speaks with them."""
