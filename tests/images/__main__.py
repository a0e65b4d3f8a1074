"""Build the images ahead of the tests that run them: ``python -m tests.images build``. What is built already is built no second time."""

import argparse
import sys

from tests.images.kept_images import ImageBuildError, kept_images


def main() -> int:
    """Give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    parser.add_argument("action", choices=["build"])
    parser.parse_args()
    try:
        with kept_images(print) as images:
            for name, reference in images.references.items():
                print(f"{name}: {reference}")
    except ImageBuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
