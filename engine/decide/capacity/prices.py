"""Prices of devices and machines: as people write them, or from a catalog `prices`. None is ever assumed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from engine.base.errors import EngineError, RequestError
from engine.base.records import record
from engine.catalogs.resolved import Catalogs

CATALOG = "prices"
_PRICE = re.compile(
    r"(?P<before>[A-Z]{3}|[$€£¥])?\s*(?P<amount>\d+(?:\.\d+)?)\s*(?P<after>[A-Z]{3}|[$€£¥])?\s*/\s*h(?:our)?\Z"
)
_SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_EXAMPLE = "H100-SXM=2.49USD/h"


@record
class Price:
    """The price of a device or a machine for an hour."""

    per_hour: float
    currency: str
    source: str


class Prices:
    """Prices by the name of a product or a machine, all in one currency."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = {name.casefold(): price for name, price in prices.items()}
        self.currency = next((price.currency for price in prices.values()), None)
        self.used: dict[str, Price] = {}
        """The prices that were looked up, by name."""

    def find(self, *names: str | None) -> Price | None:
        """Return the price of the first of these names that has one."""
        for name in names:
            price = None if name is None else self._prices.get(name.casefold())
            if name is not None and price is not None:
                self.used[name] = price
                return price
        return None


def read_prices(
    texts: Iterable[str], currency: str | None, catalogs: Catalogs, known: Iterable[str]
) -> Prices:
    """Return prices from arguments and from the catalog `prices`, if a folder of policies has one.

    Args:
        texts: prices of arguments, such as `H100-SXM=2.49USD/h`; they win over the catalog.
        currency: the currency of arguments without one.
        catalogs: the catalogs of the policy that decides.
        known: names of products and machines that prices may be for.

    Raises:
        RequestError: another form, no currency, several currencies, or a name that nothing has.
    """
    if currency is not None and _CURRENCY.match(currency) is None:
        raise RequestError(f"currency: '{currency}' is not a code of three letters, such as USD")
    prices = dict(_from_catalog(catalogs))
    parsed = [_parse(text) for text in texts]
    stated = {name for _, _, name in parsed if name is not None} | ({currency} if currency else set())
    stated |= {price.currency for price in prices.values()}
    if len(stated) > 1:
        listed = ", ".join(sorted(stated))
        raise RequestError(f"prices in several currencies: {listed}", hint="convert them to one currency")
    names = {name.casefold(): name for name in known}
    for name, amount, _ in parsed:
        if not stated:
            raise RequestError(
                f"the price of {name} has no currency",
                hint=f"write {_EXAMPLE}, or state it once with --currency USD",
            )
        if name.casefold() not in names:
            from engine.base.errors import near  # deferred: start-up time

            raise RequestError(
                f"price of {name}: no device of that name is offered", hint=near(name, names.values())
            )
        prices[names[name.casefold()]] = Price(amount, next(iter(stated)), "argument")
    return Prices(prices)


def _parse(text: str) -> tuple[str, float, str | None]:
    """Return name, amount per hour, and the currency if there is one."""
    name, equals, amount = text.partition("=")
    match = _PRICE.match(amount.strip())
    if not equals or not name.strip() or match is None or (match["before"] and match["after"]):
        raise RequestError(f"expected a price per hour such as {_EXAMPLE}, found '{text}'")
    if float(match["amount"]) == 0.0:
        raise RequestError(f"'{text}': a price must be more than zero")
    currency = match["before"] or match["after"]
    return (
        name.strip(),
        float(match["amount"]),
        None if currency is None else _SYMBOLS.get(currency, currency),
    )


def _from_catalog(catalogs: Catalogs) -> Iterable[tuple[str, Price]]:
    """Yield the rows of the catalog `prices`; none if no folder has one.

    Raises:
        RequestError: it lacks a column, or a value.
    """
    if not catalogs.has(CATALOG):
        return
    for name, row in catalogs(CATALOG).rows.items():
        missing = [column for column in ("per_hour", "currency", "date", "source") if row.get(column) is None]
        if missing:
            raise RequestError(
                f"catalog prices: {name} has no {missing[0]}",
                hint="a price needs per_hour (a double), currency, date and source",
            )
        if not isinstance(row["per_hour"], (int, float)) or not row["per_hour"] > 0:
            raise RequestError(f"catalog prices: {name}: per_hour must be more than zero")
        if not _CURRENCY.match(str(row["currency"])):
            raise RequestError(f"catalog prices: {name}: '{row['currency']}' is not a code such as USD")
        yield name, Price(float(row["per_hour"]), row["currency"], f"{row['source']}, {row['date']}")


__all__ = ["CATALOG", "EngineError", "Price", "Prices", "read_prices"]
