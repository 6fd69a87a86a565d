"""Inputs that nobody thought of, and as many verdicts as one likes: ``python scripts/fuzz.py --help``."""

import sys

try:
    from verifier.fuzz import main
except ModuleNotFoundError as error:
    sys.exit(f"fuzz: {error.name} is missing; install the project first: pip install -e .")

if __name__ == "__main__":
    sys.exit(main())
