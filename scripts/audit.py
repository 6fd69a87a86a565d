"""Find pictures whose label is doubtful or that cannot be used, for a person to review: ``python scripts/audit.py --help``."""

import sys

try:
    from animal_cls.audit import main
except ModuleNotFoundError as error:
    sys.exit(f"audit: {error.name} is missing; auditing needs the extra 'audit': pip install -e '.[audit]'")

if __name__ == "__main__":
    sys.exit(main())
