"""How stock comes and goes: movements that follow from an item's number alone.

Each item goes round and round at its own pace: bought, sold, counted, sold or moved,
sold, and bought again, without beginning or end. Nothing is remembered, so any moment
can be computed without those before it, and what one day's stock was, all later days
say of it: the company of tomorrow is that of today, a day later.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Literal

import msgspec

DAY = 86_400

Kind = Literal["bought", "sold", "counted", "moved"]

#: What can be today, and how far back anything is told: a period of any length costs
#: no more than these years do.
FIRST_DAY, LAST_DAY = dt.date(2000, 1, 1), dt.date(2999, 12, 31)

#: The movements of a round.
BOUGHT, SOLD, COUNTED, SOLD_OR_MOVED, SOLD_OUT = range(5)
ROUND = 5

# What passes between two movements of an item, in seconds: 12, 24, 48 or 194 days, so
# that a round takes from two months to more than two years. That these are powers of
# two let each item have seconds of its own, see `pace_of`.
_GAPS = (2**20, 2**21, 2**20, 2**22, 2**22, 2**21, 2**24, 2**20)
_STRIDE = 81_007
# What of 4096 is the milliseconds of a movement.
_FRACTIONS = 1000

#: Of so many items of a location, the last one goes round the locations.
WANDERERS = 16
FIRST_WANDERER = WANDERERS - 1

# How much there is after each movement, of 100 bought. The count corrects what was
# left by the first sale; the last sale leaves little, or nothing.
_SHARES = (
    (100, 80, 80, 40, 15),
    (100, 70, 70, 35, 8),
    (100, 75, 75, 30, 4),
    (100, 68, 68, 28, 0),
)
# What is bought, in per cent, by the month: much before the end of the year.
_SEASON = (70, 75, 85, 100, 110, 105, 90, 80, 100, 125, 150, 140)
_MONTH = 31_556_952 // 12

# Counted from here on, seconds are small numbers, which are quick.
_EPOCH = dt.date(2020, 1, 1)
_MINUTES = [f"T{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)]
_SECONDS = [f"{second:02}Z" for second in range(60)]


class Pace(msgspec.Struct, frozen=True, gc=False):
    """When an item is moved: movement 0 is the first one after 2020 began.

    Attributes:
        offset: The second of movement 0.
        gap: The seconds from one movement to the next.
        wanders: Whether it goes round the locations.
    """

    offset: int
    gap: int
    wanders: bool

    def last(self, moment: int) -> int:
        """Return the number of the last movement before a moment."""
        return (moment - 1 - self.offset) // self.gap

    def latest(self, step: int, movement: int) -> int:
        """Return the last movement of a step, up to a movement."""
        return movement - (movement - step) % ROUND

    def second(self, movement: int) -> int:
        """Return when a movement was, in seconds from 2020 on."""
        return self.offset + movement * self.gap

    def updated_at(self, movement: int) -> str:
        """Return the second of a movement; about one in four has a fraction, too."""
        moment = instant(self.offset + movement * self.gap)
        fraction = (self.offset // 8 + movement * 1009) % 4096
        return f"{moment[:-1]}.{fraction:03}Z" if fraction < _FRACTIONS else moment

    def day(self, step: int, movement: int) -> int:
        """Return the day of the last movement of a step, up to a movement."""
        movement -= (movement - step) % ROUND
        return (self.offset + movement * self.gap) // DAY

    def kind(self, movement: int) -> Kind:
        """Say what a movement was."""
        step = movement % ROUND
        if step == SOLD_OR_MOVED and self.wanders:
            return "moved"
        return "bought" if step == BOUGHT else "counted" if step == COUNTED else "sold"

    def times_moved(self, movement: int) -> int:
        """Return how often it had changed its location after a movement."""
        return (movement - SOLD_OR_MOVED) // ROUND if self.wanders else 0

    def left(self, movement: int, chance: int, count: int) -> int:
        """Return how much there was after a movement.

        Args:
            movement: Its number.
            chance: Sixteen bits that decide how much is bought.
            count: Sixteen bits that decide how it sells, and what the count corrects.
        """
        number, step = divmod(movement, ROUND)
        if step == SOLD_OR_MOVED and self.wanders:
            step = COUNTED  # as much as before, elsewhere
        month = (self.offset + number * ROUND * self.gap) // _MONTH % 12
        luck = 75 + (chance * (2 * number + 1) >> 5) % 51
        bought = (80 + chance % 320) * _SEASON[month] * luck // 10_000
        left = bought * _SHARES[count % 4][step] // 100
        if step == COUNTED:
            correction = 1 + (count >> 3) % 9
            left += correction if count & 4 else -correction
        return left


def pace_of(turn: int, place: int, places: int, seed: int, *, wanders: bool) -> Pace:
    """Return the pace of the item that is number `turn` of a location.

    No two items share a second, up to a million items: those with the same remainder
    of `turn` have the same gap and the same remainder of their seconds by eight, and
    an odd stride visits each eighth second of a gap once.

    Args:
        turn: Counted from 0 in each location.
        place: The number of the location, from 0 on.
        places: How many locations there are.
        seed: Sets the clockworks of companies apart.
        wanders: Whether items go round the locations.
    """
    number, lane = divmod(turn, 8)
    number = number * places + place
    gap = _GAPS[lane]
    offset = (number * _STRIDE + seed) * 8 % gap + lane + number % ROUND * gap
    return Pace(offset, gap, wanders and turn % WANDERERS == FIRST_WANDERER)


def midnight(day: dt.date) -> int:
    """Return when a day begins, in seconds from 2020 on."""
    return (day - _EPOCH).days * DAY


@cache
def date(day: int) -> str:
    """Return a day as a date, by its number from 2020 on."""
    return str(_EPOCH + dt.timedelta(days=day))


@cache
def day_start(day: int) -> str:
    """Return the first moment of a day as a date-time, by its number from 2020 on."""
    return f"{date(day)}T00:00:00Z"


def instant(second: int) -> str:
    """Return a second as a date-time.

    Dates and times are put together from texts, as they are the costliest part of an
    item otherwise.
    """
    day, second = divmod(second, DAY)
    minute, second = divmod(second, 60)
    return f"{date(day)}{_MINUTES[minute]}{_SECONDS[second]}"
