"""`python -m tt_sandbox.chain`: serves the sandbox chain until SIGTERM."""

import logging

from tt_common.web.serve import serve
from tt_sandbox.chain.app import build_app
from tt_sandbox.chain.settings import ChainSettings
from tt_sandbox.chain.store import Store

# Answers that are slow on purpose are cut after this.
GRACE_S = 1


def main() -> None:
    """Runs until stopped."""
    settings = ChainSettings()
    logging.basicConfig(level=settings.log_level.upper())
    store = Store(settings.file)
    try:
        serve(build_app(settings, store), settings.host, settings.port, grace_s=GRACE_S)
    finally:
        store.close()


if __name__ == "__main__":
    main()
