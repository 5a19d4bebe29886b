"""`python -m tt_common.web.probe PORT [PATH]`: whether a service of this machine is ready; for health checks of containers.

Exit status 0 for a 200, else 1 and the reason. A process started every few seconds: nothing but the standard library is loaded.
"""

import http.client
import sys
from collections.abc import Sequence

TIMEOUT_S = 2.5
REASON_BYTES_MAX = 500


def main(arguments: Sequence[str]) -> int:
    """Asks 127.0.0.1 once."""
    if not arguments or not arguments[0].isdecimal():
        sys.stderr.write("which port?\n")
        return 2
    connection = http.client.HTTPConnection("127.0.0.1", int(arguments[0]), timeout=TIMEOUT_S)
    try:
        connection.request("GET", arguments[1] if len(arguments) > 1 else "/readyz")
        answer = connection.getresponse()
        reason = answer.read(REASON_BYTES_MAX).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        sys.stderr.write(f"{answer.status} {reason}\n")
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
