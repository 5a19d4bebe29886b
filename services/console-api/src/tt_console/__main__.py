"""`python -m tt_console`."""

import sys

from tt_console.main import main

if __name__ == "__main__":
    sys.exit(main())
