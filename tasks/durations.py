"""Durations for people."""

UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def duration(seconds: float) -> str:
    """A duration in words of two units at most, such as "2 h 5 min"."""
    left = round(seconds)
    for number, (name, size) in enumerate(UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            smaller, smaller_size = UNITS[number + 1] if number + 1 < len(UNITS) else ("s", 1)
            # from ten minutes on, seconds are noise
            exact = rest >= smaller_size and not (name == "min" and whole >= 10)
            return f"{whole} {name}" + (f" {rest // smaller_size} {smaller}" if exact else "")
    return f"{left} s"
