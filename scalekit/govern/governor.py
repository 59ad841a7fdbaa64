"""Govern a model: an example teaches only the depths its profile names, and is accounted for."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scalekit.govern.batch import Batch, GovernError, Harvest
from scalekit.govern.depths import DepthMap, depth_map
from scalekit.govern.effort import Effort
from scalekit.govern.fingerprint import Fingerprint, places_of_parameters
from scalekit.govern.leaves import Leaf, draw_projections, find_leaves
from scalekit.govern.manifest import Manifest
from scalekit.govern.routes import RAW, SKETCH, Site, Terms, broadcast
from scalekit.govern.strength import EntropyBudget

__all__ = ["Governor", "govern"]


class Governor:
    """The routes laid into a model, and the batch that is open.

    Made by :func:`govern`. ``depths`` is the map of the model, ``harvests`` what the batches since
    the last optimizer step left.
    """

    def __init__(
        self, model: nn.Module, depths: DepthMap, *, manifest: Manifest | None,
        budget: EntropyBudget | None, sketch: int, nonce: bytes, account: bool, freeze_masked: bool,
        early_stop: bool,
    ) -> None:  # fmt: skip
        self.model, self.depths, self.manifest, self.budget = model, depths, manifest, budget
        self.leaves, self._routes = find_leaves(model, depths)
        self.account = account or sketch > 0 or budget is not None
        self.k, self._nonce, self.freeze_masked = sketch, nonce, freeze_masked
        # Raw norms of masked examples are only known where their gradient is carried on.
        self._early_stop = early_stop and not self.account
        self._in_order: bool | None = None  # not known before the first forward
        floor = budget.floor if budget is not None and budget.enforced else 0.0
        self.terms = Terms(self.account, sketch, floor)
        self.harvests: list[Harvest] = []
        self._seen: dict[str, int] = {}
        rows = int(manifest.table["example"].max()) + 1 if manifest is not None else 0  # type: ignore[arg-type]
        self.effort = Effort(rows)
        self.preserve = self.tapped = False
        self.hooks: list[Any] = []
        self._batch: Batch | None = None
        parameter = next(iter(model.parameters()))
        self.device = parameter.device
        self.kind = torch.promote_types(parameter.dtype, torch.float32)
        if sketch:
            draw_projections(self.leaves, sketch, nonce, self.device, self.kind)
        self.depth_index = torch.tensor([leaf.depth for leaf in self.leaves], device=self.device)
        self.reference = torch.zeros(len(self.leaves), device=self.device, dtype=self.kind)
        self.places: dict[str, list[int]] = {}  # module -> its leaves
        for leaf in self.leaves:
            place = leaf.path if leaf.part is not None else leaf.name
            self.places.setdefault(place, []).append(leaf.index)
        modules = dict(model.named_modules(remove_duplicate=False))
        self._patched = [modules[name] for name in self._routes]
        for name in self._routes:
            self._lay(name, modules[name])
        for leaf in self.leaves:
            if leaf.kind == "broadcast":
                self._lay_broadcast(leaf)

    @property
    def open(self) -> Batch | None:
        """The batch that is open, if any."""
        return self._batch

    def _lay(self, name: str, module: nn.Module) -> None:
        if "forward" in module.__dict__:
            raise GovernError(
                f"{name}: its forward is patched already; release the other governor first"
            )
        route, places, governor = self._routes[name], self.places[name], self
        plain = module.forward

        def forward(itself: nn.Module, *args: Any, **kwargs: Any) -> Any:
            batch = governor._batch
            if batch is None or not torch.is_grad_enabled():
                if batch is None and itself.training and torch.is_grad_enabled():
                    raise GovernError(
                        f"{name}: a training forward outside governor.batch(...). Open the batch "
                        "before the forward and go backward inside it; to predict, call "
                        "model.eval() or torch.no_grad()"
                    )
                return plain(*args, **kwargs)
            if torch.is_autocast_enabled(governor.device.type):
                batch.autocast = torch.get_autocast_dtype(governor.device.type)
            if governor._early_stop and not torch.compiler.is_compiling():
                governor._watch_order(name, batch, args)
            sites = [batch.sites[i] for i in places]
            return route(itself, plain, sites, governor.terms, *args, **kwargs)

        module.forward = types.MethodType(forward, module)

    def _lay_broadcast(self, leaf: Leaf) -> None:
        """Put a repeated copy in the parameter's place while its owner runs."""
        owner, (name,), governor = leaf.module, leaf.parameters, self
        plain = owner.forward

        def forward(itself: nn.Module, *args: Any, **kwargs: Any) -> Any:
            batch = governor._batch
            if batch is None or not torch.is_grad_enabled():
                return plain(*args, **kwargs)
            parameter = getattr(itself, name)
            itself.__dict__[name] = broadcast(parameter, batch.sites[leaf.index], governor.terms)
            try:
                return plain(*args, **kwargs)
            finally:
                del itself.__dict__[name]

        owner.forward = types.MethodType(forward, owner)
        self._patched.append(owner)

    def _watch_order(self, name: str, batch: Batch, inputs: Sequence[Any]) -> None:
        """Early stop is exact only where leaves run in the order of their depths."""
        depth = self.leaves[self.places[name][0]].depth
        first = batch.deepest < 0
        wanted = first and any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        if depth < batch.deepest or wanted:
            if self._in_order:
                raise GovernError(
                    f"{name} ran after a deeper leaf, or the input needs a gradient, which was not "
                    "so before; govern the model with early_stop=False"
                )
            self._in_order = False
        batch.deepest = max(batch.deepest, depth)

    def release(self) -> None:
        """Take routes and taps out of the model again; its weights stay as they are."""
        for module in self._patched:
            module.__dict__.pop("forward", None)
        for hook in self.hooks:
            hook.remove()

    def masks(self, profiles: Any, *, soft: float = 0.0) -> Tensor:
        """Return the masks [B, L] of depth *profiles* [B, 2]."""
        drawn = self.depths.masks(np.asarray(profiles, dtype=np.float32), soft=soft)
        return torch.from_numpy(drawn).to(self.device, self.kind)

    @contextmanager
    def batch(
        self,
        examples: Sequence[str],
        *,
        texts: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        mask: Tensor | None = None,
        profiles: Any = None,
    ) -> Iterator[Batch]:
        """Open a batch: forward and backward inside it are governed and counted.

        Parameters
        ----------
        examples
            Ids, in the order of the batch's rows.
        texts, labels
            What the batch holds; compared with the manifest's digests.
        mask
            [B, L], instead of the manifest's profiles; or *profiles* [B, 2].

        Raises
        ------
        ManifestError
            When an example is not in the manifest, or was altered.
        GovernError
            When a batch is open already, nothing says what each example may teach, or no backward
            happened inside.
        """
        self.enter(examples, texts=texts, labels=labels, mask=mask, profiles=profiles)
        try:
            yield self._batch  # type: ignore[misc]
        except BaseException:
            self._batch = None
            raise
        self.leave()

    def enter(
        self,
        examples: Sequence[str],
        *,
        texts: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        mask: Tensor | None = None,
        profiles: Any = None,
    ) -> Batch:
        """Open a batch without a ``with`` (for callbacks); as :meth:`batch`."""
        if self._batch is not None:
            raise GovernError("a batch is open already; leave it before the next one")
        named = tuple(examples)
        if self.manifest is not None:
            rows = self.manifest.rows(named)
            if texts is not None:
                self.manifest.check(named, texts, labels)
            if profiles is None and mask is None:
                profiles = self.manifest.profiles[rows]
        if mask is None and profiles is None:
            raise GovernError(
                "nothing says what each example may teach: give mask= or profiles=, or govern the "
                "model with a manifest"
            )
        top = None
        if mask is None:
            mask = self.masks(profiles)
            if self.preserve:
                top = torch.from_numpy(np.asarray(self.depths.top(np.asarray(profiles)))).to(
                    self.device
                )
                # Deeper depths may learn to carry the answer on; see readout.py.
                deeper = torch.arange(mask.shape[1], device=self.device) > top.unsqueeze(1)
                mask = torch.where(deeper, torch.ones_like(mask), mask)
        if mask.shape != (len(named), len(self.depths.groups)):
            raise GovernError(
                f"the mask is {tuple(mask.shape)}; {len(named)} examples and "
                f"{len(self.depths.groups)} depth groups were given"
            )
        mask = mask.to(self.device, self.kind)
        if self.budget is not None and self.budget.enforced and self.budget.left_out:
            out = self.effort.left_out(self._rows(named), self.budget.left_out)
            mask = mask * torch.from_numpy(~out).to(self.device).unsqueeze(1)
        self._batch = Batch(named, mask, self._sites(mask), top)
        return self._batch

    def _rows(self, examples: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return the examples' numbers: the manifest's, else in order of first use."""
        if self.manifest is not None:
            return self.manifest.rows(examples)
        for name in examples:
            self._seen.setdefault(name, len(self._seen))
        if len(self._seen) > len(self.effort.visits):
            self.effort.grow(len(self._seen))
        return np.array([self._seen[name] for name in examples])

    def _sites(self, mask: Tensor) -> list[Site]:
        examples, count = mask.shape
        columns = mask.t().contiguous().unbind(0)
        rows: list[Tensor | None] = [None] * count
        reach: list[Tensor | None] = [None] * count
        if self._early_stop:
            active = (mask != 0).cpu()
            reached = active.cumsum(1) > 0
            for depth in range(count):
                rows[depth] = _where(active[:, depth], self.device)
                if self._in_order:
                    same = bool((active[:, depth] == reached[:, depth]).all())
                    reach[depth] = rows[depth] if same else _where(reached[:, depth], self.device)
        shape, like = (examples, 2 + self.k), {"device": self.device, "dtype": self.kind}
        limits: Sequence[Tensor | None] = [None] * len(self.leaves)
        if self.budget is not None and self.budget.enforced:
            limits = (self.budget.phi * self.reference).unbind()
        return [
            Site(
                columns[leaf.depth],
                torch.zeros(shape, **like, requires_grad=True) if self.account else None,  # type: ignore[call-overload]
                limits[leaf.index],
                leaf.projection.left if leaf.projection is not None else None,
                leaf.projection.right if leaf.projection is not None else None,
                rows[leaf.depth],
                reach[leaf.depth],
            )
            for leaf in self.leaves
        ]

    def leave(self) -> Harvest | None:
        """Close the batch and keep its account; see :meth:`batch`."""
        batch, self._batch = self._batch, None
        if batch is None:
            raise GovernError("no batch is open")
        if self._in_order is None and batch.deepest >= 0:
            self._in_order = True
        if not self.account:
            return None
        grads = [site.probe.grad for site in batch.sites if site.probe is not None]
        if all(g is None for g in grads):
            raise GovernError(
                "the batch was left without a backward inside it: call loss.backward() before "
                "leaving governor.batch(...)"
            )
        empty = batch.mask.new_zeros(len(batch.examples), 2 + self.k)
        leaves = torch.stack([g if g is not None else empty for g in grads])
        harvest = self._by_depth(batch, leaves)
        self.harvests.append(harvest)
        if self.budget is not None:
            typical = leaves[:, :, RAW].median(1).values
            self.reference = torch.maximum(self.budget.decay * self.reference, typical)
            if self.budget.left_out:
                norms = harvest.raw.square().sum(1).sqrt()
                self.effort.add(self._rows(batch.examples), norms.cpu().numpy())
        return harvest

    def _by_depth(self, batch: Batch, leaves: Tensor) -> Harvest:
        count = len(self.depths.groups)

        def pooled(values: Tensor) -> Tensor:
            out = values.new_zeros(count, *values.shape[1:])
            return out.index_add_(0, self.depth_index, values).transpose(0, 1)

        raw, applied = pooled(leaves[:, :, :SKETCH].square()).sqrt().unbind(2)
        sketch = pooled(leaves[:, :, SKETCH:]) if self.k else None
        said = (batch.losses, batch.autocast)
        return Harvest(batch.examples, batch.mask, raw, applied, sketch, leaves, *said)

    def fingerprint(self) -> Tensor:
        """Return the fingerprint of the weights by depth group, [L, k]; linear in the weights."""
        return self._fingerprint(
            self.leaves[leaf].parameter(place) for leaf, place in self._parameters.values()
        )

    @cached_property
    def _parameters(self) -> dict[str, tuple[int, int]]:
        return places_of_parameters([leaf.described() for leaf in self.leaves])

    @cached_property
    def _fingerprint(self) -> Fingerprint:
        owners = [(self.leaves[leaf], place) for leaf, place in self._parameters.values()]
        return Fingerprint.draw(
            [*self._parameters],
            [leaf.depth for leaf, _ in owners],
            [leaf.parameter(place).shape for leaf, place in owners],
            len(self.depths.groups), self.k, self._nonce, self.device, self.kind,
        )  # fmt: skip


def _where(flags: Tensor, device: torch.device) -> Tensor | None:
    """Return the indices that are set, or None when all are."""
    return None if bool(flags.all()) else flags.nonzero().squeeze(1).to(device)


def govern(
    model: nn.Module,
    *,
    depths: DepthMap | Mapping[str, Any] | None = None,
    manifest: Manifest | None = None,
    budget: EntropyBudget | None = None,
    sketch: int = 0,
    nonce: bytes = b"",
    account: bool = False,
    freeze_masked: bool = False,
    early_stop: bool = True,
) -> Governor:
    """Lay exact per-example, per-depth gradient masks into *model* and return its governor.

    Parameters
    ----------
    model
        Any module whose trainable parameters lie in supported leaves; changed in place, weights and
        outputs are not. :meth:`Governor.release` takes it back.
    depths
        A map, or an override for :func:`scalekit.govern.depth_map`; found by default.
    manifest
        What may be trained on, and each example's depth profile.
    budget
        The entropy budget; None: nothing is cut.
    sketch
        Numbers of the random projection kept of each example's gradient in each depth group; 0
        none.
    nonce
        Secret seed of the projection.
    account
        Whether norms are measured without sketch or budget.
    freeze_masked
        Whether a leaf that a whole update masks is left out of the step, so that neither momentum
        nor weight decay of earlier updates moves it.
    early_stop
        Whether work on examples that nothing shallower needs is skipped (eager mode only).

    Raises
    ------
    RouteError
        When the model can't be governed exactly.
    GovernError
        When it is governed already.
    """
    found = depths if isinstance(depths, DepthMap) else depth_map(model, depths)
    return Governor(
        model, found, manifest=manifest, budget=budget, sketch=sketch, nonce=nonce,
        account=account, freeze_masked=freeze_masked, early_stop=early_stop,
    )  # fmt: skip
