"""`python -m tt_deposits`."""

import sys

from tt_deposits.main import main

sys.exit(main())
