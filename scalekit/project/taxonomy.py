"""``project.specify``: assets that come near, taken over or changed, and what became of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from scalekit.project.stage import Stage
from scalekit.specify import (
    Asset,
    AssetError,
    Candidates,
    Criterion,
    Library,
    Outcome,
    Reuse,
    Spec,
    adapt,
    adopt,
    candidates,
    library,
    library_folder,
    promote,
    put,
    reuse,
    with_outcome,
    write_template,
)

__all__ = ["TAXONOMY", "Taxonomy"]

TAXONOMY = "specify/taxonomy.jsonl"


class Taxonomy(Stage):
    """What was specified before, and what of it is used here."""

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """The spec as it stands."""

    @abstractmethod
    def save(self, spec: Spec | Mapping[str, Any] | str | Path) -> Spec:
        """Check a spec and write it as the next version."""

    def library(self) -> Library:
        """Return the assets that come with scalekit and those of the own library's folder."""
        return library()

    def candidates(self, target: str = "", **hints: Any) -> Candidates:
        """Return the three assets nearest to the spec, or to *target*; nothing is taken over.

        *hints* as for :func:`scalekit.specify.candidates`: what is known of the structure
        (``unit``, ``domain``, ``slots``, ``language``, ``metric``), and filters (``licences``,
        ``contents``). What was shown is kept in ``specify/taxonomy.jsonl``.
        """
        wanted = target or self.spec
        found = candidates(wanted, self.library(), **hints)
        said = target or self.spec.digest
        shown = [f"{a}@{v}" for a, v in found.table.select("id", "version").iter_rows()]
        data = {"for": said, "assets": shown}
        before = self._folder.events(TAXONOMY, "shown")
        if not before or before[-1].data != data:
            self._folder.append(TAXONOMY, "shown", data)
        return found

    def adopt(self, asset: str) -> Spec:
        """Take the criteria of *asset* (an id, or id@version) into the spec, unchanged; save it.

        As :func:`scalekit.specify.adopt`. Without a spec yet, the asset's own sentence, categories
        and examples make the first.

        Raises
        ------
        AssetError
            When there is no such asset.
        """
        found = self.library().find(asset)
        return self._take(found, adopt(found, self._there(), name=self._folder.name), "adopted")

    def adapt(self, asset: str, **change: Mapping[str, Any] | None) -> Spec:
        """Take the criteria of *asset* into the spec with some of them changed; save it.

        Each keyword names a criterion (``_`` for ``-``) and gives the fields that differ, or None
        to leave it out: ``adapt("code.sql.query", joins={"points": 4}, changes_data=None)``. The
        asset stays the origin of the spec.

        Raises
        ------
        AssetError
            When there is no such asset or criterion, a field is wrong, or nothing changes.
        """
        found = self.library().find(asset)
        names = {c.name.replace("-", "_"): c.name for c in found.rubric}
        named = {names.get(said, said): fields for said, fields in change.items()}
        made = adapt(found, self._there(), change=named, name=self._folder.name)
        return self._take(found, made, "adapted")

    def none_fits(self, reason: str) -> None:
        """Keep that none of the candidates shown last fits, and why.

        Raises
        ------
        AssetError
            When no reason is given, or no candidates were shown.
        """
        if not reason.strip():
            raise AssetError("say why none fits: it tells the next search what is lacking")
        shown = self._folder.events(TAXONOMY, "shown")
        if not shown:
            raise AssetError("no candidates were shown yet: project.specify.candidates()")
        data = {"because": reason.strip(), **shown[-1].data}
        self._folder.append(TAXONOMY, "none fits", data)

    def reuse(self) -> Reuse:
        """Return how many criteria of the spec were reused unchanged.

        Held against the assets' criteria as they were when they were taken over.
        """
        taken = [e.data for e in self._folder.events(TAXONOMY) if e.kind in ("adopted", "adapted")]
        known = {str(data["asset"]): data["rubric"] for data in taken}
        shelf = self.library()
        origins = []
        for reference, rubric in known.items():
            criteria = tuple(Criterion.model_validate_json(text) for text in rubric)
            base = next((a for a in shelf.assets if a.reference == reference), shelf.assets[0])
            identity = dict(zip(("id", "version"), reference.split("@"), strict=True))
            origins.append(base.model_copy(update={"rubric": criteria, **identity}))
        return reuse(self.spec, origins)

    def promote(
        self,
        base: str,
        *,
        domain: Iterable[str],
        title: str,
        owner: str,
        licence: str,
        version: str = "1.0.0",
        outcome: Outcome | None = None,
        folder: str | Path | None = None,
    ) -> Asset:
        """Make the spec an asset that descends from *base*, in the own library (or *folder*).

        As :func:`scalekit.specify.promote`; nothing is written where something is wrong.
        """
        about = {"title": title, "owner": owner, "licence": licence, "version": version}
        source = self.library().find(base)
        made = promote(self.spec, source, domain=domain, outcome=outcome, **about)
        put(made, Path(folder) if folder is not None else library_folder())
        said = {"asset": made.reference, "digest": made.digest, "from": source.reference}
        self._folder.append(TAXONOMY, "promoted", said)
        return made

    def record_outcome(self, asset: str, outcome: Outcome) -> Asset:
        """Keep what came of *asset* in this project, in the own library."""
        made = with_outcome(self.library().find(asset), outcome)
        put(made, library_folder())
        said = {"asset": made.reference, "outcome": outcome.model_dump_json()}
        self._folder.append(TAXONOMY, "outcome", said)
        return made

    def template(self, asset: str, path: str | Path) -> Path:
        """Write *asset* as a labelling project: ``.json`` for Argilla, ``.xml`` for Label Studio.

        As :func:`scalekit.specify.write_template`.
        """
        return write_template(self.library().find(asset), path)

    def _there(self) -> Spec | None:
        return self.spec if (self._folder / "spec.yaml").is_file() else None

    def _take(self, asset: Asset, made: Spec, how: str) -> Spec:
        saved = self.save(made)
        # The criteria themselves are kept: a library may change, what was taken over has not.
        rubric: Collection[str] = [c.model_dump_json() for c in asset.rubric]
        said = {"asset": asset.reference, "digest": asset.digest, "spec": saved.digest}
        self._folder.append(TAXONOMY, how, {**said, "rubric": rubric})
        return saved
