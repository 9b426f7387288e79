"""Fill in nginx's configuration from the environment and become nginx.

There are two edges. ``nginx.conf`` is a cache in front of servers. With ``EDGE_STORE`` it is ``store.conf``,
which reads the files straight from the store; ``EDGE_SERVER`` may then be left out, or names the servers
that are asked what files cannot answer.

====================  ============================  ====================================================
variable              default                       what it is
====================  ============================  ====================================================
``EDGE_SERVER``       ``server:8080``, or none      HOST:PORT; the name is looked up again and again
                      with ``EDGE_STORE``
``EDGE_LISTEN``       ``8080``                      where to listen, [ADDRESS:]PORT
``EDGE_RESOLVER``     those of /etc/resolv.conf     name servers
``EDGE_WORKERS``      ``1``                         worker processes; one serves tens of thousands a second
``EDGE_CACHE_MB``     ``256``                       the most that cached answers may take, in MiB
``EDGE_STORE``        none                          http[s]://HOST[:PORT][/BUCKET[/PREFIX]], read without
                                                    credentials
``EDGE_LIMITS``       ``5,10,20,50,100,500,``       the limits that are published: the updaters' setting
                      ``1000,5000``
``EDGE_DEPTHS``       ``10,25,100,500,0``           the same of BitMEX, 0 for all there is
``EDGE_STALE_S``      ``60``                        how long a file is served after the store went away
``EDGE_COLD_READS``   ``200``                       reads a second of files that are not held yet
``EDGE_CA``           ``/etc/ssl/certs/``           who vouches for a store with https
                      ``ca-certificates.crt``
====================  ============================  ====================================================

The last six matter only with ``EDGE_STORE``.
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

MAX_LIMIT = 5000
INT_MAX = 2**31 - 1
COUNTED = 32
"""So many parameters are counted; more of them are refused without a number."""

_VALUES = {
    "EDGE_SERVER": r"[A-Za-z0-9._-]+:[0-9]{1,5}",
    "EDGE_LISTEN": r"(?:[0-9.]+:|\[[0-9A-Fa-f:]+\]:)?[0-9]{1,5}",
    "EDGE_RESOLVER": r"[0-9A-Fa-f.:\[\] ]+",
    "EDGE_WORKERS": r"[1-9][0-9]{0,2}|auto",
    "EDGE_CACHE_MB": r"[1-9][0-9]{0,6}",
    "EDGE_STORE": r"(?:https?://[A-Za-z0-9._-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._-]+)*/?)?",
    "EDGE_LIMITS": r"[1-9][0-9]{0,3}(?:,[1-9][0-9]{0,3})*",
    "EDGE_DEPTHS": r"(?:0|[1-9][0-9]{0,8})(?:,(?:0|[1-9][0-9]{0,8}))*",
    "EDGE_STALE_S": r"[0-9]{1,6}",
    "EDGE_COLD_READS": r"[1-9][0-9]{0,5}",
    "EDGE_CA": r"/[A-Za-z0-9._/-]+",
}
_DEFAULTS = {
    "EDGE_SERVER": "server:8080",
    "EDGE_LISTEN": "8080",
    "EDGE_WORKERS": "1",
    "EDGE_CACHE_MB": "256",
    "EDGE_STORE": "",
    "EDGE_LIMITS": "5,10,20,50,100,500,1000,5000",
    "EDGE_DEPTHS": "10,25,100,500,0",
    "EDGE_STALE_S": "60",
    "EDGE_COLD_READS": "200",
    "EDGE_CA": "/etc/ssl/certs/ca-certificates.crt",
}

SPOT = {"binance": "api/v3", "binanceus": "binanceus/api/v3"}
"""Where Binance's spot calls are answered, by the venue; its files are there, too."""

FUTURES = {"binanceusdm": "fapi/v1", "binancecoinm": "dapi/v1"}
"""The same of its futures, which are answered below the venue's name once more."""

COINBASE = {"coinbaseexchange": "products"}
"""The same of Coinbase Exchange, whose products are parts of the path."""

BITMEX = {"bitmex": "api/v1/orderBook"}
"""The same of BitMEX; 0 stands for all there is, and so does no depth for the default one."""

DEFAULT_DEPTH = 25

ALONE = ["products", "time"]
"""Calls at the top, which are no folders."""

FUTURES_LIMITS = [5, 10, 20, 50, 100, 500, 1000]
FUTURES_DEFAULT_LIMIT = 500

_TLS = """\
            proxy_ssl_server_name on;
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 4;
            proxy_ssl_trusted_certificate {ca};"""

_DIGIT = "(?:%3)?[0-9]"
_CONTINUATION = r"(?:[\x80-\xbf]|%[89ABab][0-9A-Fa-f])"
_SYMBOL_LETTER = "|".join(
    (
        "[A-Z0-9._-]",
        # The same, percent-encoded.
        "%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AFaf])",
        # Characters beyond ASCII: UTF-8 of two, three and four bytes, each as it is or percent-encoded.
        rf"(?:[\xc2-\xdf]|%(?:[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f])){_CONTINUATION}",
        rf"(?:[\xe0-\xef]|%[Ee][0-9A-Fa-f]){_CONTINUATION}{{2}}",
        rf"(?:[\xf0-\xf4]|%[Ff][0-4]){_CONTINUATION}{{3}}",
    )
)


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


def spelled(name: str) -> str:
    """A pattern of ``name`` with any of its letters percent-encoded.

    >>> spelled("mo")
    '(?:m|%6[Dd])(?:o|%6[Ff])'
    """
    return "".join(f"(?:{letter}|{_escape(letter)})" for letter in name)


def _escape(letter: str) -> str:
    first, second = f"{ord(letter):02X}"
    return f"%{first}{second}" if second.isdecimal() else f"%{first}[{second}{second.lower()}]"


def digits(number: int) -> str:
    """A pattern of ``number`` with any of its digits percent-encoded.

    >>> digits(50)
    '(?:%3)?5(?:%3)?0'
    """
    return "".join(f"(?:%3)?{digit}" for digit in str(number))


def above(bound: int) -> str:
    """A pattern of the numbers above ``bound``, without leading zeros, their digits as in :func:`digits`.

    >>> bool(re.fullmatch(above(5000), "5001")), bool(re.fullmatch(above(5000), "5000"))
    (True, False)
    """
    text = str(bound)
    longer = f"(?:%3)?[1-9](?:{_DIGIT}){{{len(text)},}}"
    same_length = [
        "".join(f"(?:%3)?{each}" for each in text[:at])
        + f"(?:%3)?[{int(digit) + 1}-9]"
        + f"(?:{_DIGIT}){{{len(text) - at - 1}}}"
        for at, digit in enumerate(text)
        if digit != "9"
    ]
    return "|".join([longer, *same_length])


def counted(most: int) -> str:
    """Lines of a map from a query string to how many parameters it has, up to ``most``."""
    none = "(?:(?:=[^&]*+)?+&)*+"  # what holds no parameter, up to the "&" behind it
    one = none + "[^&=]++(?:=[^&]*+)?+"
    rest = "(?:&(?:=[^&]*+)?+)*+"
    lines = [f'        "~^{none}(?:=[^&]*+)?+$" 0;']
    for number in range(1, most + 1):
        more = f"(?:&{one}){{{number - 1}}}" if number > 1 else ""
        lines.append(f'        "~^{one}{more}{rest}$" {number};')
    return "\n".join(lines)


def published(limits: list[int], default: int = 100) -> str:
    """Lines of a map from the limit sent, as ``=limit``, to the published one that is it.

    More than the largest there is means that one, where it is published.
    """
    lines = [f'        "" {default};'] if default in limits else []
    zeros = "(?:(?:%3)?0)*"
    lines += [f'        "~^={zeros}{digits(limit)}$" {limit};' for limit in limits]
    if MAX_LIMIT in limits:
        lines.append(f'        "~^={zeros}(?:{above(MAX_LIMIT)})$" {MAX_LIMIT};')
    return "\n".join(lines)


def depths(published: list[int]) -> str:
    """Lines of a map from the depth sent, as ``=`` and digits without zeros before, to the published one."""
    lines = [f'        "~^={digits(depth) if depth else ""}$" {depth};' for depth in published]
    if DEFAULT_DEPTH in published:
        lines.append(f'        "" {DEFAULT_DEPTH};')
    return "\n".join(lines)


def answered(own: Mapping[str, str]) -> str:
    """A pattern of where calls are answered: at their own paths and below the venues' names.

    >>> answered({"binanceusdm": "fapi/v1"})
    '(?:(?:binanceusdm/)?fapi/v1)'
    """
    return f"(?:{'|'.join(f'(?:{venue}/)?{path}' for venue, path in own.items())})"


def template_for(env: Mapping[str, str]) -> str:
    """The name of the configuration that this environment asks for."""
    return "store.conf" if env.get("EDGE_STORE") else "nginx.conf"


def filled(
    template: str,
    env: Mapping[str, str],
    *,
    resolv_conf: str = "",
    tmp: str = TMP,
    cache: str = CACHE,
    here: Path = HERE,
) -> str:
    """The configuration, with its folders. Raises ``ValueError`` for a variable that cannot be used."""
    values = {name: env.get(name) or default for name, default in _DEFAULTS.items()}
    values["EDGE_RESOLVER"] = env.get("EDGE_RESOLVER") or nameservers(resolv_conf)
    for name, wanted in _VALUES.items():
        if not re.fullmatch(wanted, values[name]):
            raise ValueError(f"{name} cannot be {values[name]!r:.80}")
    found = {name.removeprefix("EDGE_"): value for name, value in values.items()}
    found |= {"TMP": tmp, "CACHE": cache, "NAME_PRIVATE": spelled("private")} | _paths()
    if values["EDGE_STORE"]:
        with_server = bool(env.get("EDGE_SERVER"))
        found |= _store(values, with_server)
        others = "others-server.conf" if with_server else "others-alone.conf"
        for name, part in (("OTHERS", others), ("HIDDEN", "hidden-headers.conf"), ("HELD", "held.conf")):
            found[name] = _Template((here / part).read_text("utf-8").rstrip()).substitute(found)
    return _Template(template).substitute(found)


def _paths() -> dict[str, str]:
    """Patterns of where the venues' calls are answered."""
    spot, futures, coinbase = f"(?:{'|'.join(SPOT.values())})", answered(FUTURES), answered(COINBASE)
    named = FUTURES | COINBASE | BITMEX
    own = [path.partition("/")[0] for path in (SPOT | named).values()]
    return {
        "SPOT": spot,
        "FUTURES": futures,
        "FUTURES_DEFAULT_LIMIT": str(FUTURES_DEFAULT_LIMIT),
        "COINBASE": coinbase,
        "BITMEX": answered(BITMEX),
        "BOOKS": rf"(?:(?:{spot}|{futures})/depth|{coinbase}/[^/]+/book|{answered(BITMEX)}/L2)",
        "LISTS": f"(?:{spot}|{futures})/exchangeInfo",
        "ROOTS": "|".join(dict.fromkeys((*own, *named))),
        "ALONE": "|".join(ALONE),
    }


def _store(values: Mapping[str, str], with_server: bool) -> dict[str, str]:
    """What only store.conf has in it."""
    limits = sorted({int(limit) for limit in values["EDGE_LIMITS"].split(",")})
    if limits[-1] > MAX_LIMIT:
        raise ValueError(f"EDGE_LIMITS cannot be {values['EDGE_LIMITS']!r:.80}")
    cold_reads = int(values["EDGE_COLD_READS"])
    futures_limits = [limit for limit in FUTURES_LIMITS if limit in limits]
    names = ("symbol", "limit", "at", "level", "depth", "symbolStatus", "TRADING", "HALT", "BREAK")
    return {
        # Who answers for a symbol that has no file of its own: perhaps it is listed all the same.
        "UNCUT": "@unanswered" if with_server else "@unknown",
        **{f"NAME_{name.upper()}": spelled(name) for name in names},
        "STORE": values["EDGE_STORE"].rstrip("/"),
        "TLS": _TLS.format(ca=values["EDGE_CA"]) if values["EDGE_STORE"].startswith("https:") else "",
        "SYMBOL_LETTER": _SYMBOL_LETTER,
        "DEPTHS_PUBLISHED": depths([int(depth) for depth in values["EDGE_DEPTHS"].split(",")]),
        "COUNTED": counted(COUNTED),
        "PUBLISHED": published(limits),
        "FUTURES_LADDER": "|".join(map(digits, FUTURES_LIMITS)),
        "FUTURES_PUBLISHED": published(futures_limits, FUTURES_DEFAULT_LIMIT),
        "OVER_INT": above(INT_MAX),
        "COLD_CLIENT_READS": str(max(1, cold_reads // 2)),
    }


def main() -> None:
    """Write the configuration and give this process to nginx."""
    try:
        resolv_conf = Path("/etc/resolv.conf").read_text("utf-8")
        template = (HERE / template_for(os.environ)).read_text("utf-8")
        text = filled(template, os.environ, resolv_conf=resolv_conf)
    except (ValueError, OSError) as error:
        sys.exit(f"edge: {error}")
    path = Path(TMP) / "nginx.conf"
    path.write_text(text, "utf-8")
    # Left behind by an nginx that was killed; it would not listen there again.
    (Path(TMP) / "store.sock").unlink(missing_ok=True)
    # Standard error from the start: without -e it looks for a log file that it may not open.
    os.execvp("nginx", ["nginx", "-e", "stderr", "-c", str(path)])


if __name__ == "__main__":
    main()
