"""Time and memory beside the obvious way: ``python scripts/benchmark.py --help``."""

import sys

try:
    from verifier.benchmark import main
except ModuleNotFoundError as error:
    sys.exit(f"benchmark: {error.name} is missing; install the project first: pip install -e .")

if __name__ == "__main__":
    sys.exit(main())
