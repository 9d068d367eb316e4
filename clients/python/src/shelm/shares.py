"""Shares of observations with their 95 % intervals; the client and the server count alike."""

from __future__ import annotations

NORMAL = 1.959964  # quantile of 97.5 %


def wilson(share: float, count: int) -> tuple[float, float]:
    """Returns Wilson's 95 % interval of a share of `count` observations, which need not be a whole number of them."""
    squared = NORMAL**2 / count
    middle = (share + squared / 2) / (1 + squared)
    reach = (share * (1 - share) * squared + squared**2 / 4) ** 0.5 / (1 + squared)
    return max(0.0, middle - reach), min(1.0, middle + reach)
