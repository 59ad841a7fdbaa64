"""The library: the assets that come with scalekit, and those of a folder of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalekit.display import View, block, counted, table
from scalekit.specify.asset import Asset, AssetError, read_asset, write_asset

__all__ = ["Library", "library", "library_folder", "put"]

BUILT_IN = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Library(View):
    """Assets, one of each id and version, by id; of one id the newest version comes first."""

    assets: tuple[Asset, ...]

    @property
    def table(self) -> pl.DataFrame:
        """One row for each asset: id, version, title, unit, language, licence, lineage, use."""
        return pl.DataFrame(
            [
                {
                    "id": a.id,
                    "version": a.version,
                    "title": a.title,
                    "unit": a.unit,
                    "language": a.language,
                    "licence": a.licence,
                    "derived from": a.derived_from,
                    "criteria": len(a.rubric),
                    "used in": len(a.outcomes),
                }
                for a in self.assets
            ]
        )

    def find(self, name: str) -> Asset:
        """Return the asset *name*: an id (its newest version) or id@version.

        Raises
        ------
        AssetError
            When there is none; with the ids that are near.
        """
        found = [a for a in self.assets if name in (a.id, a.reference)]
        if found:
            return found[0]
        import difflib

        known = list(dict.fromkeys(a.id for a in self.assets))
        near = difflib.get_close_matches(name.partition("@")[0], known, n=3, cutoff=0.3)
        raise AssetError(f"there is no asset {name!r}; near it are {', '.join(near or known[:3])}")

    def lineage(self, asset: Asset) -> tuple[str, ...]:
        """Return the references that *asset* descends from, the nearest first."""
        line: list[str] = []
        derived = asset.derived_from
        while derived and derived not in line:
            line.append(derived)
            parent = next((a for a in self.assets if a.reference == derived), None)
            derived = parent.derived_from if parent else ""
        return tuple(line)

    def to_html(self) -> str:
        """Show the assets."""
        return block("Library", counted(len(self.assets), "asset"), table(self.table, limit=60))


def library_folder() -> Path:
    """Return the folder of one's own assets: ``$SCALEKIT_LIBRARY``, else the user's data folder."""
    named = os.environ.get("SCALEKIT_LIBRARY")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_data_dir("scalekit")) / "assets"


def library(*folders: Path) -> Library:
    """Return the built-in assets and those under *folders* (by default :func:`library_folder`).

    An asset that stands in a folder and in the built-in ones counts once, with the folder's record
    of what came of it.

    Raises
    ------
    AssetError
        When a file is no asset, or two of the same id and version differ.
    """
    found: dict[str, tuple[Asset, Path]] = {}
    for folder in (BUILT_IN, *(folders or (library_folder(),))):
        for path in sorted(folder.rglob("*.toml")):
            asset = read_asset(path)
            before = found.get(asset.reference)
            if before and before[0].digest != asset.digest:
                raise AssetError(
                    f"{path}: {asset.reference} is another asset than that of {before[1]}; "
                    "raise the version of the changed one"
                )
            found[asset.reference] = (asset, path)
    assets = sorted((a for a, _ in found.values()), key=_newest_first)
    return Library(tuple(assets))


def _newest_first(asset: Asset) -> tuple[str, Sequence[int]]:
    return asset.id, [-int(n) for n in asset.version.split(".")]


def put(asset: Asset, folder: Path) -> Path:
    """Write *asset* into a library's folder; return the path.

    Raises
    ------
    AssetError
        When another asset of the same id and version is there already, or comes with scalekit.
    """
    for known in library(folder).assets:
        if known.reference == asset.reference and known.digest != asset.digest:
            raise AssetError(
                f"{asset.reference} is there already and is another; give a higher version"
            )
    return write_asset(asset, folder.joinpath(*asset.domain, f"{asset.version}.toml"))
