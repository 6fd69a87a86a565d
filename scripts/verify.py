"""Is what a text says about the animals in a picture true? ``python scripts/verify.py --help``."""

import sys

try:
    from verifier.cli import main
except ModuleNotFoundError as error:
    sys.exit(f"verify: {error.name} is missing; install the project first: pip install -e .")
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
