"""Prices: those that ship have a date and a source, and a user's own go before them."""

from datetime import date
from pathlib import Path

import pytest

from depthcast.errors import SettingsError
from depthcast.plan.prices import load_prices


def test_every_price_that_ships_has_a_date_and_a_source() -> None:
    known = load_prices()
    assert list(known) == ["s3", "s3-express", "r2", "gcs", "own"]
    for prices in known.values():
        assert date.fromisoformat(prices.date).year >= 2026
        assert prices.source
        assert prices.region


def test_every_store_with_prices_has_a_section_on_its_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "stores.md").read_text("utf-8")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    for store, prices in load_prices().items():
        assert store == "own" or any(prices.name.split()[-1] in heading for heading in headings), store


def test_the_example_of_the_s3_faq_comes_out() -> None:
    # "Amazon S3 FAQs", S3 Express One Zone, example 1: 1,000,000 writes and 9,000,000 reads
    # of 10 KB, 10 GB kept.
    express = load_prices()["s3-express"]
    requests = 1e6 * express.put_per_1000 / 1000 + 9e6 * express.get_per_1000 / 1000
    moved = 10 / 1_048_576 * (1e6 * express.upload_per_gb + 9e6 * express.retrieval_per_gb)
    assert requests + moved + 10 * express.storage_per_gb == pytest.approx(2.58, abs=0.01)


def test_the_example_of_googles_page_comes_out() -> None:
    # "Pricing examples", simple example: 50 GB kept, 10,000 class A and 50,000 class B operations, 1 GB out.
    gcs = load_prices()["gcs"]
    usd = 50 * gcs.storage_per_gb + 10 * gcs.put_per_1000 + 50 * gcs.get_per_1000 + gcs.internet_per_gb
    assert usd == pytest.approx(1.19)


def test_a_file_of_prices_goes_before_ours_and_may_add_a_store(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[s3]\nregion = "ap-northeast-1"\nput_per_1000 = 0.0047\n[mine]\nput_per_1000 = 0.001\n')
    known = load_prices(path)
    assert (known["s3"].put_per_1000, known["s3"].region) == (0.0047, "ap-northeast-1")
    assert known["s3"].get_per_1000 == load_prices()["s3"].get_per_1000
    assert known["s3"].source == str(path)
    assert known["mine"].put_per_1000 == 0.001


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[s3]\nput_per_1000 = -1\n", "s3.put_per_1000: should be greater than or equal to 0"),
        ("[s3]\nput_per_1001 = 1\n", "s3.put_per_1001"),
        ("s3 = 1\n", "'s3' is no table"),
        ("[s3\n", "is no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"prices\.toml") as error:
        load_prices(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_prices(tmp_path / "none.toml")
