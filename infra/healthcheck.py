"""``healthcheck.py PORT [PATH]``: exit status 0 if what listens on this port here answers 200 in time.

The health check of every image. It needs no package, takes no proxy, and says in one line what is wrong.
"""

import http.client
import sys

TIMEOUT_S = 4.0


def fault(port: int, path: str, *, timeout_s: float = TIMEOUT_S) -> str:
    """What is wrong, on one line; empty if nothing is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        said = answer.read(200).decode("utf-8", "replace").strip()
        return "" if answer.status == 200 else f"{answer.status} {said}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """Check, say what is wrong, and return the exit status."""
    wrong = fault(int(arguments[0]), arguments[1] if len(arguments) > 1 else "/healthz")
    if wrong:
        print(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
