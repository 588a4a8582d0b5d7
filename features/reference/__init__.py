"""Law, codes and geography as dated data, and the functions that read them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.reference.geography.border_distances import border_line as border_line
    from features.reference.geography.border_distances import earth_centered as earth_centered
    from features.reference.geography.border_distances import geodesic_km as geodesic_km
    from features.reference.geography.border_distances import km_to_mexico_line as km_to_mexico_line
    from features.reference.geography.border_distances import km_to_port as km_to_port
    from features.reference.geography.border_distances import ports as ports
    from features.reference.geography.places import counties as counties
    from features.reference.geography.places import county_office as county_office
    from features.reference.geography.places import county_population as county_population
    from features.reference.geography.places import office_seats as office_seats
    from features.reference.geography.places import offices as offices
    from features.reference.geography.places import states as states
    from features.reference.geography.places import urban_rural as urban_rural
    from features.reference.geography.places import zip_places as zip_places
    from features.reference.legal.law import Law as Law
    from features.reference.legal.law import is_in_force as is_in_force
    from features.reference.legal.law import law as law
    from features.reference.legal.law import law_entry as law_entry
    from features.reference.legal.law import laws as laws
    from features.reference.series import known_before as known_before
    from features.reference.series import known_on as known_on
    from features.reference.series import latest_year as latest_year
    from features.reference.series import publication as publication
    from features.reference.tracing_from_mexico import mexico_coverage as mexico_coverage

_HOMES = {
    "tracing_from_mexico": "mexico_coverage mexico_periods",
    "geography.border_distances": (
        "border_line earth_centered geodesic_km km_to_mexico_line km_to_port ports"
    ),
    "legal.law": "Law is_in_force law law_entry laws",
    "geography.places": (
        "counties county_office county_population office_seats offices states urban_rural"
        " zip_places"
    ),
    "series": "known_before known_on latest_year publication",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a function when it is first asked for: the command line stays fast to start."""
    if name in _HOME_OF:
        return getattr(import_module(f"features.reference.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
