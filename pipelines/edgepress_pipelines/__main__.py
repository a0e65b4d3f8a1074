"""Where the command ``edgepress`` starts: what a bare install lacks is said in one line."""

import sys

from edgepress.errors import EXIT_FAILED


def main() -> None:
    """Run the command line of ``edgepress_pipelines.cli``."""
    try:
        from edgepress_pipelines.cli import main as run_command_line
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "edgepress", "edgepress_pipelines"):
            raise
        print(f"edgepress: the package {missing} is not installed; pip install 'edgepress[pipelines]'", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    run_command_line()


if __name__ == "__main__":
    main()
