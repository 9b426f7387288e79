"""Fill in nginx.conf from the environment and become nginx.

====================  ============================  ====================================================
variable              default                       what it is
====================  ============================  ====================================================
``EDGE_SERVER``       ``server:8080``               HOST:PORT; the name is looked up again and again
``EDGE_LISTEN``       ``8080``                      where to listen, [ADDRESS:]PORT
``EDGE_RESOLVER``     those of /etc/resolv.conf     name servers
``EDGE_WORKERS``      ``1``                         worker processes; one serves tens of thousands a second
``EDGE_CACHE_MB``     ``256``                       the most that cached answers may take, in MiB
====================  ============================  ====================================================
"""

import os
import re
import string
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
TMP = "/tmp"
CACHE = "/var/cache/depthcast"

_VALUES = {
    "EDGE_SERVER": r"[A-Za-z0-9._-]+:[0-9]{1,5}",
    "EDGE_LISTEN": r"(?:[0-9.]+:|\[[0-9A-Fa-f:]+\]:)?[0-9]{1,5}",
    "EDGE_RESOLVER": r"[0-9A-Fa-f.:\[\] ]+",
    "EDGE_WORKERS": r"[1-9][0-9]{0,2}|auto",
    "EDGE_CACHE_MB": r"[1-9][0-9]{0,6}",
}
_DEFAULTS = {
    "EDGE_SERVER": "server:8080",
    "EDGE_LISTEN": "8080",
    "EDGE_WORKERS": "1",
    "EDGE_CACHE_MB": "256",
}


class _Template(string.Template):
    """nginx's own variables begin with ``$``, so ours begin with ``@``."""

    delimiter = "@"
    # A named location of nginx's (@away) is none of ours: only what stands in braces is filled in.
    pattern = r"""
    @(?:(?P<escaped>@) | (?P<named>(?!)) | \{(?P<braced>[A-Z_]+)\} | (?P<invalid>(?!)))
    """


def nameservers(resolv_conf: str) -> str:
    """The name servers in the text of a resolv.conf, as nginx writes them.

    >>> nameservers("nameserver 127.0.0.11\\nnameserver fd00::1")
    '127.0.0.11 [fd00::1]'
    """
    found = re.findall(r"^nameserver\s+([0-9A-Fa-f.:]+)", resolv_conf, re.MULTILINE)
    return " ".join(f"[{each}]" if ":" in each else each for each in found)


def filled(
    template: str, env: Mapping[str, str], *, resolv_conf: str = "", tmp: str = TMP, cache: str = CACHE
) -> str:
    """The configuration, with its folders. Raises ``ValueError`` for a variable that cannot be used."""
    values = {name: env.get(name) or default for name, default in _DEFAULTS.items()}
    values["EDGE_RESOLVER"] = env.get("EDGE_RESOLVER") or nameservers(resolv_conf)
    for name, wanted in _VALUES.items():
        if not re.fullmatch(wanted, values[name]):
            raise ValueError(f"{name} cannot be {values[name]!r:.80}")
    found = {name.removeprefix("EDGE_"): value for name, value in values.items()}
    return _Template(template).substitute(found, TMP=tmp, CACHE=cache)


def main() -> None:
    """Write the configuration and give this process to nginx."""
    try:
        resolv_conf = Path("/etc/resolv.conf").read_text("utf-8")
        text = filled((HERE / "nginx.conf").read_text("utf-8"), os.environ, resolv_conf=resolv_conf)
    except (ValueError, OSError) as error:
        sys.exit(f"edge: {error}")
    path = Path(TMP) / "nginx.conf"
    path.write_text(text, "utf-8")
    # Standard error from the start: without -e it looks for a log file that it may not open.
    os.execvp("nginx", ["nginx", "-e", "stderr", "-c", str(path)])


if __name__ == "__main__":
    main()
