"""The newest listing of a dealer: as corrected, whichever came in last."""

from features.ingest import ingest
from serving.field.newest_listing import newest_listings
from tests.test_features.ingest_samples import TODAY, row, write

OTHER = "5-74-90002"


def test_the_newest_listing_stands_as_corrected_whichever_came_in_last(tmp_path):
    """A listing of an earlier day that came in later is not the newest."""
    dealer = row("licenses")["dealer"]
    files = [
        [row("licenses", listed_on="2021-01-01", premises_city="LATER", business_name="")],
        [
            row("licenses", listed_on="2020-01-01", premises_city="EARLIER", business_name="OLD"),
            row("licenses", listed_on="2020-01-01", dealer=OTHER, license_number="",
                premises_city="THERE"),
        ],
        [row("licenses", listed_on="2021-01-01", premises_city="CORRECTED", business_name="",
             known_on="2021-03-01")],
    ]  # fmt: skip
    for n, rows in enumerate(files):
        (tmp_path / str(n)).mkdir()
        ingest([write(tmp_path / str(n), "licenses.csv", rows)], tmp_path / "w", today=TODAY)
    found = newest_listings(
        tmp_path / "w", [OTHER, dealer, "1-11-11111"], ("premises_city", "business_name")
    )
    assert {name: said["premises_city"] for name, said in found.items()} == {
        dealer: "CORRECTED", OTHER: "THERE",
    }  # fmt: skip
    assert found[dealer]["business_name"] == ""  # not that of an older listing


def test_without_listings_nobody_is_listed(tmp_path):
    assert newest_listings(tmp_path / "w", [OTHER], ("premises_city",)) == {}
