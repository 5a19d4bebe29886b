"""`python -m tt_edge`."""

import sys

from tt_edge.main import main

sys.exit(main())
