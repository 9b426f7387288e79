"""The pages and their parts: ``/``, ``/book/ETHUSDT`` and ``/book/binanceusdm/ETHUSDT``, what comes later.

A page is whole when it is sent: the rows of the list and the first levels of a book are in it. What is asked
for again, the rows for another text and the fleet, is a part of the same templates.
"""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from depthcast.errors import BadFile, StoreError
from depthcast.files import depth_key
from depthcast.scheme import ALL, Level, Scheme
from server.freshness import Currency, State
from server.hot import HotFile, HotFiles
from server.page import assets
from server.page.assets import Assets
from server.page.board import digits, shorten
from server.page.boards import PAGE_ROWS, Boards, Listed, View
from server.page.fleet import FleetView
from server.page.html import Html, book_path
from server.page.markets import Markets

LIST_PATH: Final = "/"
BOOK_PATH: Final = "/book/{address:path}"
ROWS_PATH: Final = "/page/board"
FLEET_PATH: Final = "/page/fleet"

LADDER_LEVELS: Final = 20
"""So many levels of each side are in the ladder."""

CHART_LEVELS: Final = 1000
"""So many levels of each side are drawn, where so many are published."""


class Pages:
    """The pages of one server."""

    def __init__(
        self,
        markets: Markets,
        hot: HotFiles,
        boards: Boards,
        fleet: FleetView,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._markets = markets
        self._hot = hot
        self._boards = boards
        self._fleet = fleet
        self._clock = clock
        self.assets = Assets()
        self._html = Html(self.assets)

    @property
    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(LIST_PATH, self.list),
            Route(BOOK_PATH, self.book),
            Route(ROWS_PATH, self.rows),
            Route(FLEET_PATH, self.fleet),
            Route(assets.PATH, self.assets.endpoint),
        ]

    async def list(self, request: Request) -> Response:
        """``GET /?q=…&page=…``: the symbols."""
        view = View.of(request.url.query)
        listed = await self._listed(view)
        if isinstance(listed, Response):
            return listed
        pager, fleet = _pager(listed, view), self._fleet.read()
        return self._html.answer(
            "list.html", listed=listed, wanted=view.wanted, pager=pager, fleet=fleet, address=None
        )

    async def rows(self, request: Request) -> Response:
        """``GET /page/board?q=…&page=…``: the list's table, for who has the rest of the page."""
        view = View.of(request.url.query)
        listed = await self._listed(view)
        if isinstance(listed, Response):
            return listed
        headers = {"hx-push-url": LIST_PATH + _query(view.wanted, listed.page)}
        pager = _pager(listed, view)
        return self._html.answer("rows.html", 200, headers, listed=listed, wanted=view.wanted, pager=pager)

    async def book(self, request: Request) -> Response:
        """``GET /book/ETHUSDT``: a book."""
        address = request.path_params["address"]
        if not self._markets.known:
            return self._not_ready()
        found = self._markets.find(address)
        limits = None if found is None else found.market.catalogue.limits(found.symbol)
        if found is None or not limits:
            upper = None if found is None else found._replace(symbol=found.symbol.upper())
            if upper is not None and upper.market.catalogue.limits(upper.symbol):
                return RedirectResponse(book_path(upper.address), 307)
            return self._html.answer("missing.html", 404, symbol=address)
        market, symbol = found
        ladder, chart = (_asked(market.scheme, limits, levels) for levels in (LADDER_LEVELS, CHART_LEVELS))
        covering = market.scheme.covering(ladder, limits)
        assert covering is not None  # no more is asked for than there is
        file = await self._read(depth_key(symbol, covering, market.scheme))
        shown = _first_levels(file, LADDER_LEVELS)
        currency = Currency(State.STALE) if file is None else market.freshness.of(file, self._clock())
        status = file.edition.info.status if file is not None and file.edition is not None else ""
        return self._html.answer(
            "book.html",
            symbol=symbol,
            address=address,
            venue=market.venue,
            several=len(self._markets) > 1,
            stream=f"{market.stream_path}?symbol={quote(symbol, safe='')}",
            past=market.book_url(symbol, chart),
            levels=min(LADDER_LEVELS, market.scheme.depth(ladder)),
            ladder=ladder,
            chart=chart,
            charted=_charted(market.scheme.depth(chart)),
            shown=shown,
            state=currency.state.value.decode(),
            trading_status=status,
            fleet=self._fleet.read(address),
        )

    async def fleet(self, request: Request) -> Response:
        """``GET /page/fleet?symbol=…``: the replicas, for who has the rest of a page."""
        address = request.query_params.get("symbol") or None
        return self._html.answer("fleet.html", fleet=self._fleet.read(address), address=address)

    async def _listed(self, view: View) -> Listed | Response:
        """The rows of a view, or the answer in their place."""
        if not self._markets.known:
            return self._not_ready()
        listed = await self._boards.filled(view)
        return listed or self._html.answer("busy.html", 503, {"retry-after": "5"}, full=True)

    def _not_ready(self) -> Response:
        return self._html.answer("busy.html", 503, {"retry-after": "1"}, full=False)

    async def _read(self, key: str) -> HotFile | None:
        try:
            return self._hot.get(key) or await self._hot.read(key)
        except (StoreError, BadFile):
            return None


def _asked(scheme: Scheme, limits: tuple[int, ...], levels: int) -> int:
    """The limit to ask for, to be shown so many levels a side where that many are published."""
    if scheme.refusal(levels) is None and scheme.depth(levels) == levels:
        deepest = scheme.depth(limits[-1])
        return levels if levels <= deepest else limits[-1]
    deep = [limit for limit in limits if scheme.depth(limit) >= levels]
    return min(deep, key=lambda limit: (scheme.depth(limit), scheme.size(limit))) if deep else limits[-1]


def _charted(levels: int) -> str:
    return "All" if levels == ALL else str(levels)


class _Line(NamedTuple):
    """A level as it is shown: ``total`` is the quantity from the best level to this one."""

    price: str
    quantity: str
    total: str


def _lines(levels: Sequence[Level], price_digits: int, quantity_digits: int) -> list[_Line]:
    lines, total = [], Decimal(0)
    for price, quantity in levels:
        total += Decimal(quantity)
        added = f"{total:.{quantity_digits}f}"
        lines.append(_Line(shorten(price, price_digits), shorten(quantity, quantity_digits), added))
    return lines


class _Shown(NamedTuple):
    """The first levels of a book, as text with as many digits as these need."""

    update_id: int | None
    bids: Sequence[_Line]
    asks: Sequence[_Line]
    price_digits: int
    quantity_digits: int


def _first_levels(file: HotFile | None, limit: int) -> _Shown:
    try:
        assert file is not None
        assert file.edition is not None  # what HotFiles hands out has been read
        bids, asks = file.edition.layout.levels(file.key, file.edition.body, limit)
        update_id = file.edition.version.update_id
    except (AssertionError, BadFile):
        return _Shown(None, (), (), 0, 0)
    prices = [level[0] for level in (*bids, *asks)]
    quantities = [level[1] for level in (*bids, *asks)]
    price_digits, quantity_digits = digits(*prices), digits(*quantities)
    return _Shown(
        update_id,
        _lines(bids, price_digits, quantity_digits),
        _lines(asks, price_digits, quantity_digits),
        price_digits,
        quantity_digits,
    )


class Pager(NamedTuple):
    """Where the rows are in the list, and the queries of its neighbours."""

    first: int
    last: int
    before: str | None
    after: str | None


def _pager(listed: Listed, view: View) -> Pager:
    first = (listed.page - 1) * PAGE_ROWS
    return Pager(
        min(first + 1, listed.found),
        first + len(listed.board.symbols),
        _query(view.wanted, listed.page - 1) if listed.page > 1 else None,
        _query(view.wanted, listed.page + 1) if listed.page < listed.pages else None,
    )


def _query(wanted: str, page: int) -> str:
    """The query string of a view.

    >>> _query("ETH", 2), _query("", 1)
    ('?q=ETH&page=2', '')
    """
    members = {**({"q": wanted} if wanted else {}), **({"page": str(page)} if page > 1 else {})}
    return f"?{urlencode(members)}" if members else ""
