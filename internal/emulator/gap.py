"""Gaps of moto: where they are recorded, and how they are filled."""

GAPS = []  # the name of a call and a reason, for each


def gap(owner, method, call, why):
    """Replaces owner.method by the decorated function, which gets the original as its first argument. It is an error if the
    owner does not have the method, as in another version of moto. If moto lacks the method, its name ends in "?".
    """
    missing = method.endswith("?")
    method = method.rstrip("?")

    def fill(function):
        original = getattr(owner, method, None)
        if (original is None) != missing:
            raise SystemExit(f"moto {'already has' if missing else 'has no'} {owner.__name__}.{method}, which implements {call}")

        def filled(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(owner, method, filled)
        GAPS.append((call, why))
        return function

    return fill
