"""The quarterly listing: who holds a license, under which number, name and address."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.domain.asof import add_months, to_days
from features.domain.license_number import MONTH_LETTERS
from features.simulation.country import national
from features.simulation.country.dealers import Dealers
from features.simulation.country.options import Options
from features.simulation.files import columns
from features.simulation.files.columns import coded
from features.simulation.files.dirt import DirtBook

_TERM: Final = 36  # months
_RESPELLED: Final = 0.002  # addresses spelled another way in one listing


def listing(options: Options, dealers: Dealers, month: int, book: DirtBook) -> pa.Table:
    """Return the listing of the first day of a month."""
    rng = options.generator(2, month)
    known = dealers.known
    rows = np.flatnonzero(dealers.is_active(month))
    n = len(rows)
    place = dealers.place[rows]
    left = (dealers.renews[rows] - month) % _TERM + 1
    expiries = [add_months(options.month(month), k) for k in range(_TERM + 2)]
    code = np.array([f"{d.year % 10}{MONTH_LETTERS[d.month - 1]}" for d in expiries])
    county = known.frame["county_fips"].to_numpy(object)
    keys = pa.array(dealers.keys[rows], pa.string())
    number = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(keys, 0, 4),
        pc.utf8_slice_codeunits(pa.array(county, pa.string()).take(pa.array(place)), 2, 5),
        pa.array(national.TYPES).take(pa.array(dealers.kind[rows])),
        pa.array(code).take(pa.array(left)),
        pc.utf8_slice_codeunits(keys, 5, 10),
        "-",
    )
    street = dealers.street[rows].copy()
    respelled = np.flatnonzero(rng.random(n) < _RESPELLED)
    street[respelled] = street[respelled] + " Unit 1"
    when = options.month(month)
    book.add("licenses", dealers.keys[rows][respelled] + f" {when}", "changed_address", "stored")
    zips, city = (known.frame[c].to_numpy(object) for c in ("zip", "city"))
    mail = np.where(dealers.mail_place[rows] >= 0, dealers.mail_place[rows], place)
    lat, lon = (known.frame[c].to_numpy(np.float64)[place] for c in ("lat", "lon"))
    return columns.table_of(
        "licenses",
        {
            "dealer": keys.cast(pa.string()),
            "license_number": number,
            "license_type": coded(dealers.kind[rows], list(national.TYPES)),
            "expires_on": columns.days(to_days(expiries)[left]),
            "listed_on": columns.days(np.full(n, to_days([when])[0])),
            "licensee_name": pa.array(dealers.licensee[rows], pa.string()),
            "business_name": coded(dealers.business[rows], dealers.business_names),
            "premises_street": pa.array(street, pa.string()),
            "premises_city": coded(place, city),
            "premises_state": coded(known.state[place], known.states),
            "premises_zip": coded(place, zips),
            "mail_zip": coded(mail, zips),
            "county_fips": coded(place, county),
            "latitude": np.round(lat + dealers.point[0, rows], 4),
            "longitude": np.round(lon + dealers.point[1, rows], 4),
            "is_residential": dealers.is_home[rows],
        },
    )
