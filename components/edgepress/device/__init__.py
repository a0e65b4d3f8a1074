"""What a device needs as well, on the standard library and numpy alone: digests, atomic files, and the golden self-test of a model."""
