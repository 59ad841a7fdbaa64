"""The search of the taxonomy: how often the right asset is among those shown; one JSON a line.

Specs written for it (``taxonomy_held.toml``): two for each built-in asset, as different teams would
write them, each with the asset that a person would choose. No spec shares five words in a row with
any asset. hit@1 and hit@3 with Wilson's 95 % interval, of the texts alone and with the unit known
beside them; against drawing at random from the library. One hand wrote the specs and the assets, so
the figures compare ways of searching; strangers' specs will be found less often.
``--quick``: the same; it takes seconds.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from scalekit.intervals import wilson
from scalekit.specify import Asset, candidates, library
from scalekit.text import folded_words

HELD = Path(__file__).with_name("taxonomy_held.toml")
SHARED = 5


def told(figure: str, value: float, against: str, n: int, **more: Any) -> None:
    """Print one figure."""
    line = {"figure": figure, "value": round(value, 3), "unit": "share of specs"}
    print(json.dumps({**line, "against": against, "n": n, **more}), flush=True)


def runs_of_words(*texts: str) -> set[tuple[str, ...]]:
    """Return every run of five words in the texts."""
    found = set()
    for text in texts:
        said = list(folded_words(text))
        found |= {tuple(said[i : i + SHARED]) for i in range(len(said) - SHARED + 1)}
    return found


def texts_of(asset: Asset) -> list[str]:
    """Return all that an asset says."""
    rubric = [t for c in asset.rubric for t in (c.text, c.pass_example, c.fail_example)]
    said = [asset.title, asset.target, asset.instructions, *asset.evaluation.criteria, *rubric]
    return [*said, *(e.text for e in asset.examples), *(c.description for c in asset.categories)]


def main() -> None:
    """Measure and print."""
    held = tomllib.loads(HELD.read_text(encoding="utf-8"))["spec"]
    shelf = library(HELD.parent / "no folder of one's own")
    size = len({a.id for a in shelf.assets})
    assets = {a.reference: runs_of_words(*texts_of(a)) for a in shelf.assets}
    for spec in held:
        own = runs_of_words(spec["target"], *spec["criteria"], spec["example"])
        copied = [name for name, said in assets.items() if own & said]
        assert not copied, f"{spec['target']!r} shares words in a row with {copied}"

    for way in ("text", "text and unit"):
        ranks = []
        for spec in held:
            asked = "\n".join([spec["target"], *spec["criteria"], spec["example"]])
            unit = spec["unit"] if way != "text" else ""
            found = candidates(asked, shelf, unit=unit, count=size).table["id"].to_list()
            ranks.append(found.index(spec["right"]) + 1)
        for within in (1, 3):
            hits, n = sum(r <= within for r in ranks), len(ranks)
            low, high = wilson(hits, n)
            against = f"{within / size:.3f} at random of {size}"
            told(f"hit@{within}, {way}", hits / n, against, n, low=round(low, 3),
                 high=round(high, 3))  # fmt: skip


if __name__ == "__main__":
    main()
