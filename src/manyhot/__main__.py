"""`python -m manyhot`: the command, where no script is on the path."""

import sys

from manyhot.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
