"""The base urls of a venue, as settings may name them. Pure."""

from urllib.parse import urlsplit

from depthcast.errors import SettingsError


def base_url(setting: str, url: str, schemes: tuple[str, ...]) -> str:
    """``url`` without a slash at its end. Raises SettingsError, naming ``setting``, for what is none.

    >>> base_url("rest_url", "https://api.binance.com/", ("http", "https"))
    'https://api.binance.com'
    """
    try:
        parts = urlsplit(url)
        known = bool(parts.scheme in schemes and parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or "@" in parts.netloc:
        raise SettingsError(
            f"{setting} is not a base url",
            hint=f"write {' or '.join(schemes)}://host[:port], without a query or a password",
        )
    return url.rstrip("/")
