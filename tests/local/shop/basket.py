"""The basket of a small shop: what is in it, what it costs, and what is paid."""

import time
from dataclasses import dataclass, field
from decimal import Decimal

FREE_SHIPPING_FROM = Decimal("50.00")
SHIPPING = Decimal("4.90")


@dataclass
class Basket:
    items: dict = field(default_factory=dict)

    def add(self, name, price, count=1):
        if count < 1:
            raise ValueError("count must be at least 1")
        _, before = self.items.get(name, (None, 0))
        self.items[name] = (Decimal(price), before + count)

    def goods(self):
        return sum((price * count for price, count in self.items.values()), Decimal("0.00"))

    def total(self):
        goods = self.goods()
        return goods if goods >= FREE_SHIPPING_FROM or not self.items else goods + SHIPPING


class Till:
    """Takes payments one after the other, with a pause in between as the card terminal wants it."""

    def __init__(self, pause=0.5):
        self.pause = pause
        self.taken = []

    def pay(self, basket):
        time.sleep(self.pause)
        self.taken.append(basket.total())
        return len(self.taken)
