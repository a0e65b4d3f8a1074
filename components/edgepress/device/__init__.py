"""What a device needs as well, on the standard library and numpy alone: digests and atomic files."""
