"""Text that others wrote, such as the names of runs: fit to be shown on a terminal."""


def harmless(text: str) -> str:
    """The text on one line, a blank for each line end, and without control characters, which could rule the terminal."""
    return "".join(" " if character.isspace() else character for character in text if character.isspace() or character.isprintable())
