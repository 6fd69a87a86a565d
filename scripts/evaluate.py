"""Measure verdicts on texts and pictures: ``python scripts/evaluate.py --help``."""

import sys

try:
    from verifier.evaluation import main
except ModuleNotFoundError as error:
    sys.exit(f"evaluate: {error.name} is missing; install the project first: pip install -e .")

if __name__ == "__main__":
    sys.exit(main())
