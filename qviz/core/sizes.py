"""How are bytes written, in the window as in messages?"""

from __future__ import annotations

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def byte_text(count: int) -> str:
    """Bytes as people read them, in powers of 1024.

    Parameters
    ----------
    count : int
        Of bytes; a header may claim more than any float can hold.

    Returns
    -------
    str
        Up to four digits and a unit: ``"1023 B"``, ``"1.5 KiB"``, ``"2 GiB"``.
    """
    for power, unit in enumerate(UNITS):
        scaled = count / 1024**power if count < 1024**9 else 1024.0
        if scaled < 1023.5 or (unit == "B" and count < 1024):
            return f"{scaled:.4g} {unit}"
    return "> 1024 PiB"
