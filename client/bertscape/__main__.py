"""`python -m bertscape` is the command `bertscape`."""

import sys

from bertscape.cli import main

if __name__ == "__main__":
    sys.exit(main())
