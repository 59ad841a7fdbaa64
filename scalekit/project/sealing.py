"""What is sealed in a project: the split, the seal, the vault, looks, and what leaked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.display import counted
from scalekit.evaluate import (
    NEARLY,
    Contamination,
    ParaphraseCandidates,
    Seal,
    SealCheck,
    SealError,
    check_seals,
    concealed,
    contamination,
    holders,
    paraphrase_candidates,
    redact_notebook,
    scorer_digest,
    seal,
    split,
    texts_held,
)
from scalekit.evaluate.split import SHARES
from scalekit.frames import FrameError, write_parquet
from scalekit.project.sealed_texts import take_out
from scalekit.project.sets import Sets, figures
from scalekit.project.stage import Stage
from scalekit.signing import digest

__all__ = ["LOG", "SPLIT", "Sealing"]

SPLIT = "evaluate/split.parquet"
LOG = "evaluate/log.jsonl"
SEALS = "evaluate/sealed"


class Sealing(Stage):
    """What is kept from training, and who looked at it."""

    def seal(
        self,
        *,
        shares: Mapping[str, float] | None = None,
        together: Sequence[str] = (),
        seed: int | None = None,
        by: str | None = None,
        shown: Iterable[str | Path] = (),
        passphrase: bool = False,
        second_share: str | Path | None = None,
    ) -> Sets:
        """Split the labelled items, encrypt the test sets, and look for leaks into training.

        Items whose votes are tied are left out. The sealed items' texts are taken out of the
        project's tables; the key lies outside the project. Asked again for the same labels, it
        returns what stands.

        Parameters
        ----------
        shares
            Of train, dev, sealed and, if asked for, vault; they make 1. By default 0.7, 0.15 and
            0.15, or what the last sealing had. A vault makes the other test sets smaller, so there
            is none unless it is asked for.
        together
            Columns of the items whose equal values must stay in one set.
        seed
            Another seed, another split; once sealed, another one changes nothing and is said.
        by
            A column of the items, or "collected" for the date of their batch: the latest items go
            to the test sets.
        shown
            Ids of items that somebody has looked at, and files, such as executed notebooks, that
            show texts: these items stay in the open, in train or dev.
        passphrase
            Wrap the key in a passphrase: asked for, or from ``SCALEKIT_PASSPHRASE``.
        second_share
            A new file, outside project and git, without which the test sets do not open; for the
            vault another one beside it, with the ending ``.vault``.

        Raises
        ------
        GateClosedError
            When Label's gate, or an earlier one, is not passed.
        SealError
            When the shares name another set or do not make 1, a set would be empty, or what is
            *shown* is neither an item nor a file.
        """
        self.require_before()
        wish, seen = self._wish(shares, together, seed, by), self._shown(shown)
        votes = self._project.label.consensus().drop_nulls("value")
        labelled = digest([list(r) for r in votes.select("item_id", "value").rows()])
        known = [e for e in self._folder.events(LOG) if e.kind in ("sealing", "relabelled")]
        notes: tuple[str, ...] = ()
        if not known or known[-1].data["labels"] != labelled:
            self.decontaminate()  # what stands in the spec must not be sealed, nor trained on
            share = Path(second_share) if second_share is not None else None
            key = {"passphrase": passphrase, "second_share": share}
            self._seal(votes, labelled, wish, seen, key)
        else:
            notes = self._otherwise(wish, seen)
        if len(self._folder.events(LOG, "sealing")) > len(self._folder.events(LOG, "sealed")):
            # Also after a crash in between: the seal is on disk, so the plain texts can go.
            self._take_out()
            notes += self._left_in()
        found = self.sets()
        return Sets(
            found.table, found.contamination, found.sealed_hits, found.looks_left,
            notes + found.notes,
        )  # fmt: skip

    def _wish(
        self,
        shares: Mapping[str, float] | None,
        together: Sequence[str],
        seed: int | None,
        by: str | None,
    ) -> dict[str, Any]:
        """Return how to split: what is asked for, else as the last sealing did."""
        earlier = self._folder.events(LOG, "sealing")
        stood = earlier[-1].data if earlier else {}
        asked: dict[str, Any] = {
            "shares": {k: str(float(v)) for k, v in shares.items()} if shares else None,
            "together": list(together) or None,
            "seed": seed,
            "by": by,
        }
        usual = {
            "shares": {k: str(v) for k, v in SHARES.items()}, "together": [], "seed": 0, "by": None
        }  # fmt: skip
        return {k: v if v is not None else stood.get(k, usual[k]) for k, v in asked.items()}

    def _otherwise(self, wish: Mapping[str, Any], shown: Sequence[str]) -> tuple[str, ...]:
        """Say what was asked for now that stands otherwise since the sealing."""
        stood = self._folder.events(LOG, "sealing")[-1].data
        if late := set(shown) - set(self._opened()["item_id"]):
            return (f"{counted(len(late), 'item')} shown are sealed already, and stay so.",)
        said = [f"{k} {wish[k]}" for k in wish if k in stood and wish[k] != stood[k]]
        if not said:
            return ()
        own = ", ".join(f"{k} {stood[k]}" for k in wish if k in stood and wish[k] != stood[k])
        return (
            f"Sealed already, with {own}: {', '.join(said)} changes nothing. What is sealed is not "
            "drawn again; new items bring a new seal.",
        )

    def _shown(self, given: Iterable[str | Path]) -> list[str]:
        """Return the ids of the items that are named, or whose texts stand in files named."""
        items = self._project.audit.items().select("item_id", "text").drop_nulls()
        known, found = set(self._project.audit.item_ids()), set()
        for one in given:
            if str(one) in known:
                found.add(str(one))
            elif Path(one).is_file():
                held = texts_held(Path(one), items["text"].to_list())
                found.update(items.filter(pl.Series(held, dtype=pl.Boolean))["item_id"])
            else:
                raise SealError(f"shown: {str(one)!r} is neither an item in use nor a file")
        return sorted(found)

    def _seal(
        self, votes: pl.DataFrame, labelled: str, wish: dict[str, Any], shown: Sequence[str],
        key: dict[str, Any],
    ) -> None:  # fmt: skip
        voted = votes.select("item_id", pl.col("value").alias("category"))
        items = self._project.audit.items().drop("category").join(voted, on="item_id")
        items = items.filter(~pl.col("item_id").is_in(self._left_out()))
        if wish["by"] == "collected" and "collected" not in items.columns:
            dates = {b.batch_id: b.collected for b in self._project.collect.batches()}
            at = pl.col("batch_id").replace_strict(dates, return_dtype=pl.String)
            items = items.with_columns(at.alias("collected"))
        # What was in the open once can't be sealed any more: it stays in its set.
        earlier = self._opened() if self._folder.events(LOG, "sealing") else None
        pinned = dict(earlier.select("item_id", "set").iter_rows()) if earlier is not None else {}
        shares = {k: float(v) for k, v in wish["shares"].items()}
        try:
            sets = split(
                items, shares=shares, together=wish["together"], seed=wish["seed"],
                by=wish["by"], pinned=pinned, shown=shown,
            )  # fmt: skip
        except FrameError:
            raise
        except ValueError as error:
            raise SealError(str(error)) from error
        items = items.join(sets, on="item_id")
        opened = items.filter(pl.col("set").is_in(["train", "dev"]))
        columns = ("item_id", "text", "category", "batch_id", "group", "set")
        hidden = {name: items.filter(set=name) for name in ("sealed", "vault")}
        if earlier is not None and hidden["sealed"].is_empty():
            # Too few new items for a set of their own: those of a vault alone stay unused.
            write_parquet(opened.select(columns), self._folder / SPLIT)
            self._folder.append(LOG, "relabelled", {"labels": labelled})
            return
        if hidden["sealed"].is_empty():
            raise SealError(
                f"the sealed set would be empty: these {counted(len(items), 'item')} fall into "
                f"{counted(items['group'].n_unique(), 'group')} of texts that are alike, and a "
                "group stays whole. Collect more varied items, or give sealed a larger share"
            )
        if shares.get("vault") and hidden["vault"].is_empty() and earlier is None:
            raise SealError("the vault of the split is empty: give it a larger share")
        made = {name: self._encrypt(name, rows, key) for name, rows in hidden.items() if len(rows)}
        write_parquet(opened.select(columns), self._folder / SPLIT)
        vault = {"vault": made["vault"].seal_id} if "vault" in made else {}
        said = {"seal": made["sealed"].seal_id, **vault, "items": len(hidden["sealed"])}
        said |= {"shown": list(shown)} if shown else {}
        self._folder.append(LOG, "sealing", {"labels": labelled, **said, **wish})

    def _encrypt(self, name: str, rows: pl.DataFrame, key: Mapping[str, Any]) -> Seal:
        share = key["second_share"]
        if share is not None and name == "vault":
            share = share.with_name(f"{share.name}.vault")
        return seal(
            rows, self._folder / SEALS, project=self._folder.root, name=name,
            scorer=scorer_digest(), passphrase=key["passphrase"], second_share=share,
        )  # fmt: skip

    def _take_out(self) -> None:
        """Take what is sealed out of the project, and say so in the journal."""
        seals = self._newest()
        said = {"seal": seals[0].seal_id, "item_ids": take_out(self._folder, seals)}
        self._folder.append(LOG, "sealed", said)
        if (self._folder / "report.html").is_file():
            self._project.report()  # an earlier one may quote a text that is sealed now

    def _left_in(self) -> tuple[str, ...]:
        """Name the files of the project in which a sealed text still stands."""
        found = self.find_sealed(self._folder.root)["file"].to_list()
        if not found:
            return ()
        return (
            f"A sealed text still stands in {', '.join(found)}. project.evaluate.redact(FILE) "
            "takes it out of a notebook's outputs; other files are yours to clear.",
        )

    def find_sealed(self, folder: str | Path) -> pl.DataFrame:
        """Name the files under *folder* in which sealed texts of five words or more stand.

        Tables, archives and notebooks are read too; ``file, texts``. The key is needed.

        Raises
        ------
        SealError
            When the seal does not open or a file can't be read.
        """
        found: pl.DataFrame = self._with_texts(lambda t: holders(Path(folder), t), folder)
        return found

    def redact(self, notebook: str | Path) -> int:
        """Take those outputs out of an executed notebook that show a sealed text; say how many.

        What was typed into its cells stays. Raises as :meth:`find_sealed` does.
        """
        return int(self._with_texts(lambda texts: redact_notebook(Path(notebook), texts), notebook))

    def _with_texts(self, act: Callable[[list[str]], Any], what: str | Path) -> Any:
        """Return what *act* makes of the sealed texts; an error shows nothing of them."""
        seals = self._newest()
        for one in seals:
            one.item_ids()  # if it does not open, why is said
        found, failed = concealed(
            lambda: act([text for one in seals for text in one._open()["text"]])
        )
        if failed:
            raise SealError(f"{what}: can't be read or written ({failed})")
        return found

    def sets(self) -> Sets:
        """Return the sets as they stand, with what leaked.

        Raises
        ------
        SealError
            When nothing is sealed yet.
        """
        opened, sealed, vault = self._opened(), self._current(), self._vault()
        leaks = self.leaks()
        counts = opened.group_by("set").agg(
            pl.len().cast(pl.Int64).alias("items"),
            pl.col("category").n_unique().cast(pl.Int64).alias("categories"),
        )
        hand = self._handwritten()
        hidden = [("sealed", sealed.header), *([("vault", vault.header)] if vault else [])]
        rows = [
            *counts.sort("set", descending=True).to_dicts(),
            *(
                {"set": name, "items": header["items"], "categories": len(header["categories"])}
                for name, header in hidden
            ),
            {"set": "handwritten", "items": len(hand), "categories": hand["category"].n_unique()},
        ]
        notes = (*self._warned(), *(self._vault_said() if vault else ()))
        hits = self._sealed_hits()
        return Sets(pl.DataFrame(rows), leaks, hits, sealed.looks_left, notes)

    def _sealed_hits(self) -> pl.DataFrame:
        """Return the training rows that hold an item of the sealed set or the vault."""
        rows = self.train_items()
        seals = [self._current(), *([self._vault()] if self._vault() else [])]
        found = pl.concat([one.contaminated(rows) for one in seals if one is not None])
        return found.sort("cover", descending=True, maintain_order=True).unique(
            "item_id", keep="first", maintain_order=True
        )

    def verify(self) -> SealCheck:
        """Check header, files, ledger and kept answers of every seal, each fault by its name."""
        return check_seals(self._folder / SEALS)

    def _vault_said(self) -> tuple[str, ...]:
        vault = self._vault()
        if vault is None:
            return ("There is no vault.",)
        looks = [e for e in vault.ledger.events() if e.kind == "look"]
        if not looks:
            return (f"The vault ({counted(vault.header['items'], 'item')}) is unopened.",)
        told = f"The vault was opened on {looks[0].at[:10]} by {looks[0].data['decision']}: "
        answers = vault.ledger.answers()
        if not answers:
            return (told + "no answer came.",)
        return (told + figures(answers[0]["right"], answers[0]["n"]) + ".",)

    def _warned(self) -> tuple[str, ...]:
        ledger = self._current().ledger
        used, left = ledger.used, self._current().looks_left
        if used < NEARLY * (used + left):
            return ()
        return (f"{used} of {used + left} looks at the sealed set are used: keep what is left.",)

    def leaks(self) -> Contamination:
        """Search for test items: in the training text or, before the seal, in all audited items.

        Test items are the handwritten examples and, once there is a split, the dev set.
        """
        return contamination(*self._open_test_and_train())

    def paraphrases(
        self, encoder: Callable[[list[str]], Any] | None = None, *, top: int = 3
    ) -> ParaphraseCandidates:
        """Name the training rows most like each test item, for a person to look at.

        What :meth:`leaks` can not see; as :func:`scalekit.evaluate.paraphrase_candidates`.
        """
        return paraphrase_candidates(*self._open_test_and_train(), encoder=encoder, top=top)

    def _open_test_and_train(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        test = self._handwritten().select("item_id", "text")
        if not self._folder.events(LOG, "sealing"):
            items = self._project.audit.items()
            return test, items.filter(~pl.col("item_id").is_in(self._left_out()))
        dev = self._opened().filter(pl.col("set") == "dev").select("item_id", "text")
        return pl.concat([test, dev]), self.train_items()

    def decontaminate(self) -> Contamination:
        """Leave out the rows that hold test items; return what :meth:`leaks` finds afterwards."""
        rows = set(self.leaks().leaking)
        if self._folder.events(LOG, "sealing"):
            rows |= set(self._sealed_hits()["item_id"])
        for item in sorted(rows):
            because = "holds an item of a test set"
            self._folder.append(LOG, "left out", {"item_id": item, "because": because})
        return self.leaks()

    def _left_out(self) -> list[str]:
        return [e.data["item_id"] for e in self._folder.events(LOG, "left out")]

    def train_items(self) -> pl.DataFrame:
        """Return the training items: ``item_id, text, category, batch_id, group, set``."""
        train = (pl.col("set") == "train") & ~pl.col("item_id").is_in(self._left_out())
        return self._opened().filter(train)

    def _opened(self) -> pl.DataFrame:
        path = self._folder / SPLIT
        if not path.is_file():
            raise SealError("nothing is split and sealed yet: project.evaluate.seal()")
        return pl.read_parquet(path)

    def _current(self) -> Seal:
        started = self._folder.events(LOG, "sealing")
        if not started:
            raise SealError("nothing is sealed yet: project.evaluate.seal()")
        return Seal.load(self._folder / SEALS, started[-1].data["seal"])

    def _vault(self) -> Seal | None:
        made = [e.data["vault"] for e in self._folder.events(LOG, "sealing") if "vault" in e.data]
        return Seal.load(self._folder / SEALS, made[-1]) if made else None

    def _newest(self) -> list[Seal]:
        """Return the seals of the last sealing."""
        self._current()
        made = self._folder.events(LOG, "sealing")[-1].data
        return [Seal.load(self._folder / SEALS, made[k]) for k in ("seal", "vault") if k in made]

    def _handwritten(self) -> pl.DataFrame:
        return self._project.specify.spec.handwritten
