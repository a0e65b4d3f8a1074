"""The commands of ``edgepress``, one module each: arguments in, exit code out."""
