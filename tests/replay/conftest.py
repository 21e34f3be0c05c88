"""The published catalog and the way to decide on it, as the decision's tests have them."""

from tests.decide.conftest import ask, catalog

__all__ = ["ask", "catalog"]
