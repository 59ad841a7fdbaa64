from __future__ import annotations

import polars as pl
import pytest

from scalekit.audit import languages
from scalekit.frames import FrameError

TEXTS = {
    "en": "Where is my parcel? It should have been here on Monday, and nobody answers my letters.",
    "de": "Wo ist mein Paket? Es sollte am Montag hier sein, und niemand beantwortet meine Briefe.",
    "fr": "Où est mon colis ? Il devait arriver lundi, et personne ne répond à mes lettres.",
    "es": "¿Dónde está mi paquete? Tenía que llegar el lunes y nadie responde a mis cartas.",
    "it": "Dov'è il mio pacco? Doveva arrivare lunedì e nessuno risponde alle mie lettere.",
    "nl": "Waar is mijn pakket? Het had hier moeten zijn en niemand beantwoordt mijn brief.",
    "pl": "Gdzie jest moja paczka? Miała przyjść w poniedziałek, a nikt nie odpowiada na listy.",
    "ru": "Где моя посылка? Она должна была прийти в понедельник, и никто не отвечает на письма.",
    "zh": "我的包裹在哪里？它应该星期一到，没有人回复我的信。",
    "ar": "أين طردي؟ كان من المفترض أن يصل يوم الاثنين ولا أحد يجيب على رسائلي.",
}


def items(texts: dict[str, str]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": list(texts), "text": list(texts.values())})


def test_texts_of_ten_languages_are_told_apart() -> None:
    found = languages(items(TEXTS)).found
    assert found["language"].to_list() == list(TEXTS)
    assert found["confidence"].is_between(0.5, 1).all()


def test_only_texts_in_other_languages_are_marked_and_none_is_dropped() -> None:
    report = languages(items({**TEXTS, "signs": "12 34 !!"}), ["en", "de"])
    assert set(report.marks["item_id"]) == set(TEXTS) - {"en", "de"}
    french = report.marks.row(by_predicate=pl.col("item_id") == "fr", named=True)
    assert french["rule"] == "language"
    assert french["reason"].startswith("looks like fr with confidence ")
    assert french["reason"].endswith("expected en, de")
    assert len(report.found) == len(TEXTS) + 1, "nothing is left out"
    assert dict(report.found.select("item_id", "language").iter_rows())["signs"] == "und"
    table = {row["language"]: row for row in report.table.to_dicts()}
    assert table["en"]["expected"] is True
    assert table["fr"]["expected"] is False
    assert table["und"]["expected"] is None
    assert "8 are in another language than en, de" in report.to_html()


def test_without_expected_languages_nothing_is_marked() -> None:
    report = languages(items(TEXTS))
    assert report.marks.is_empty()
    assert "expected" not in report.table.columns
    assert report.table["share"].sum() == pytest.approx(1)
    assert languages(items({})).table.is_empty()


def test_only_the_beginning_counts() -> None:
    long = TEXTS["en"] * 4 + TEXTS["de"] * 50
    assert languages(items({"long": long})).found["language"].to_list() == ["en"]


def test_of_many_items_a_drawn_part_is_looked_at_and_that_is_said() -> None:
    report = languages(items(TEXTS), sample=4)
    assert len(report.found) == 4
    assert set(report.found["item_id"]) <= set(TEXTS)
    assert "10 texts. 4 of them, drawn at random" in report.to_html()
    assert languages(items(TEXTS), sample=4).found.equals(report.found)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="language 'english' is not one of ace, af, am"):
        languages(items(TEXTS), "english")
    with pytest.raises(FrameError, match="have no text, first of item 'x'"):
        languages(pl.DataFrame({"item_id": ["x"], "text": pl.Series([None], dtype=pl.String)}))
