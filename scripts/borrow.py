"""Annotated lines of public text files as sentences: see ``animal_ner.borrowed``."""

import sys

try:
    from animal_ner.borrowed import main
except ModuleNotFoundError as error:
    sys.exit(f"borrow: {error.name} is missing; install the project first: pip install -e .")

if __name__ == "__main__":
    sys.exit(main())
