"""How much of an estimated field to believe."""


def wiener_damping(spread: float, error_spread: float) -> float:
    """Share of a field to apply when an estimate of nothing spreads by `error_spread`: `1 - (error / spread)^2`.

    A Wiener filter weighs a signal so against an error of known size. Nothing is applied where the estimate spreads no
    more than the error does.
    """
    return 1 - (error_spread / spread) ** 2 if spread > error_spread else 0.0
