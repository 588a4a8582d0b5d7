"""Write the exports of an invented agency, in a layout of its own, into a folder.

``python agency.py FOLDER`` writes ``shops.txt`` (semicolons, yearly), ``visits.txt`` (fixed width,
cp1252) and ``requests.txt`` (bars). Dealers with many requests are found at fault more often,
pawnbrokers most.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np

N_DEALERS = 400
STATES = (("TX", "48201", "77002", "HOUSTON"), ("AZ", "04013", "85004", "PHOENIX"))
ENDS = ("Ohne Befund", "Bericht", "Verwarnung", "Anhörung")  # none, report, warning, conference


def dealer(n: int) -> str:
    """Return the number of a dealer."""
    return f"{('5-76', '9-86')[n % 2]}-{10000 + n}"


def shops(years: range) -> str:
    """Return the listings of some years: zeros eaten, American dates."""
    lines = ["Lizenz;Art;Stand;Name;Ort;Staat;PLZ;Kreis"]
    for year in years:
        for n in range(N_DEALERS):
            state, county, zip_code, city = STATES[n % 2]
            kind = 2 if n % 5 == 0 else 1
            name = f"INVENTED SHOP {n}"
            lines.append(
                f"{dealer(n)};{kind};1/1/{year};{name};{city};{state};{zip_code};{int(county)}"
            )
    return "\n".join(lines) + "\n"


def requests(rng: np.random.Generator, rate: np.ndarray) -> str:
    """Return trace requests, more of them for dealers with a high rate."""
    lines = ["Vorgang|Eingang|Antwort|Sichergestellt|Land|Stelle|Haendler|Verkauft|Waffe|Nummer"]
    who = rng.choice(N_DEALERS, 6000, p=rate / rate.sum())
    for i, n in enumerate(who):
        found = date(2017, 1, 1) + timedelta(int(rng.integers(0, 3200)))
        sold = found - timedelta(int(rng.integers(20, 2400)))
        asked, told = found + timedelta(3), found + timedelta(17)
        kind = ("Pistole", "Gewehr")[int(rng.random() < 0.2)]
        days = "|".join(f"{d:%m/%d/%Y}" for d in (asked, told, found))
        lines.append(f"R-{i:06d}|{days}|US|TXHPD|{dealer(int(n))}|{sold:%m/%d/%Y}|{kind}|lesbar")
    return "\n".join(lines) + "\n"


def visits(rng: np.random.Generator, rate: np.ndarray) -> str:
    """Return inspections in lines of fixed width."""
    lines = []
    for i in range(1800):
        n = int(rng.integers(0, N_DEALERS))
        opened = date(2017, 1, 1) + timedelta(int(rng.integers(0, 3200)))
        chance = min(0.8, (0.02 + 0.15 * rate[n]) * (4 if n % 5 == 0 else 0.6))
        end = ENDS[3] if rng.random() < chance else ENDS[int(rng.integers(0, 3))]
        office, who = "AMT1", f"P{int(rng.integers(0, 6))}"
        closed = opened + timedelta(int(rng.integers(5, 40)))
        lines.append(f"B{i:05d}{dealer(n)}{opened:%d.%m.%Y}{closed:%d.%m.%Y}{end:<12}{office}{who}")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Write the three exports."""
    rng = np.random.default_rng(7)
    rate = rng.gamma(0.6, 1.5, N_DEALERS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shops.txt").write_text(shops(range(2017, 2026)), encoding="cp1252")
    (folder / "requests.txt").write_text(requests(rng, rate), encoding="cp1252")
    (folder / "visits.txt").write_text(visits(rng, rate), encoding="cp1252")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
