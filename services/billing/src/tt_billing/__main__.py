"""`python -m tt_billing`."""

import sys

from tt_billing.main import main

sys.exit(main())
