import unittest
from decimal import Decimal

from basket import Basket, Till


class BasketTest(unittest.TestCase):
    def test_an_empty_basket_costs_nothing(self):
        self.assertEqual(Basket().total(), 0)

    def test_shipping_is_added_to_a_small_order(self):
        basket = Basket()
        basket.add("soap", "2.50", 2)
        self.assertEqual(basket.total(), Decimal("9.90"))

    def test_a_large_order_ships_free(self):
        basket = Basket()
        basket.add("lamp", "50.00")
        self.assertEqual(basket.total(), Decimal("50.00"))

    def test_a_count_below_one_is_refused(self):
        with self.assertRaises(ValueError):
            Basket().add("soap", "2.50", 0)


class TillTest(unittest.TestCase):
    def test_a_queue_of_customers_is_served_in_order(self):
        till = Till()
        for customer in range(1, 15):
            basket = Basket()
            basket.add("bread", "3.20", customer)
            self.assertEqual(till.pay(basket), customer)
        self.assertEqual(till.taken, sorted(till.taken))


if __name__ == "__main__":
    unittest.main()
