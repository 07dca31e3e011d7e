"""Names as ZTF gives them: objectId `ZTF` + year + seven letters, candid a 64-bit integer that begins with the time."""

from __future__ import annotations

import datetime

_LETTERS = 7
_NAMES = 26**_LETTERS
# Coprime to 26^7, so that different sources never share a name, and large, so that a name does not tell the source set.
_STRIDE = 3_141_592_653
_CANDID_EPOCH = 2457754.5  # 1 January 2017
_ORDINAL_EPOCH = 1721424.5  # where the calendar of Python counts from


def object_name(ordinal: int, first_jd: float) -> str:
    """objectId of a source: the year of its first detection and letters from its running number."""
    rest = (ordinal * _STRIDE + 1_234_567_891) % _NAMES
    letters = ""
    for _ in range(_LETTERS):
        rest, digit = divmod(rest, 26)
        letters += chr(ord("a") + digit)
    return f"ZTF{year_of(first_jd) % 100:02d}{letters}"


def year_of(jd: float) -> int:
    """Calendar year of a Julian date."""
    return datetime.date.fromordinal(int(jd - _ORDINAL_EPOCH)).year


def alert_number(ordinal: int, jd: float) -> int:
    """candid of an alert: days since 2017 to a millionth, then nine digits of the source."""
    return round((jd - _CANDID_EPOCH) * 10**6) * 10**9 + (ordinal * 7919 + 15_000_000) % 10**9
