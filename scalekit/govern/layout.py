"""Where the leaves of a model lie, read from its structure without running it.

1. The body is the model's list of blocks: every outermost ``nn.ModuleList`` (or ``nn.Sequential``)
   with an element of two or more weight matrices, one list after the other (encoder, then decoder).
   A block is not split. A stage, an element that is little more than a list of like blocks, gives
   its blocks instead.
2. Without blocks: the elements of the ``nn.ModuleList`` lists; without those, of the
   ``nn.Sequential`` lists; without those, the children of the model.
3. ``nn.ModuleList`` lists of one length under one parent are zipped: ``convs[i]`` and ``norms[i]``.
4. What comes before the body is the input group, what comes after it the output group. Between two
   lists an embedding belongs to the input, a norm to the group before it, all else to the group
   after it. Within a list a norm joins the element after it; the last one, the element before.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

__all__ = ["BODY", "INPUT", "OUTPUT", "Drawn", "Leaves", "by_structure", "leaves_of"]

INPUT, BODY, OUTPUT = "input", "body", "output"
# Segments that torch.compile, checkpointing and FSDP put into the names of modules.
WRAPPED = {"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}
# Their forward is never called, so that nothing can be governed there.
CONTAINERS = (nn.ParameterList, nn.ParameterDict, ParametrizationList)

Drawn = list[tuple[str, list[str]]]
"""Groups with their leaves, input side first."""
Element = tuple[nn.Module, ...]
"""The modules at one place of a list, or of zipped lists."""
Stack = list[tuple[str, Element]]
"""A list's elements by name."""


@dataclass(frozen=True)
class Leaves:
    """The leaves of a model by name, in order of registration.

    ``owned`` has their parameters and ``module`` the module; ``said`` is the name of each module
    and leaf without wrappers; ``bare`` names trainable parameters of no leaf; ``lazy`` one that has
    no shape yet.
    """

    owned: dict[str, list[nn.Parameter]]
    module: dict[str, nn.Module]
    said: dict[str, str]
    bare: tuple[str, ...]
    lazy: str


def leaves_of(model: nn.Module) -> Leaves:
    """Find the leaves of *model*; a module that is registered twice counts where it is first.

    A parameter [1, ...] of a module with parts, such as a class token, is a leaf of its own: it is
    broadcast over the examples.
    """
    owned: dict[str, list[nn.Parameter]] = {}
    where: dict[str, nn.Module] = {}
    rest: dict[str, nn.Parameter] = {}
    said, inside = _said(model), set[nn.Module]()
    lazy = next((n for n, p in model.named_parameters() if nn.parameter.is_lazy(p)), "")
    for name, module in model.named_modules():
        own = dict(module.named_parameters(name, recurse=False))
        container = isinstance(module, CONTAINERS)
        if module in inside:
            continue
        if isinstance(module, nn.MultiheadAttention) or (
            own and _is_leaf(module) and not container
        ):
            owned[name], where[name] = list(module.parameters()), module
            inside.update(module.modules())
            continue
        for path, parameter in own.items():
            if not lazy and not container and parameter.dim() > 1 and parameter.shape[0] == 1:
                owned[path], where[path] = [parameter], module
                said[path] = _join(said[name], path.rpartition(".")[2])
            else:
                rest[path] = parameter
    governed = {id(p) for own in owned.values() for p in own}
    # A parameter kept here and used in a leaf, such as the bias of a tied head, is governed there.
    bare = [n for n, p in rest.items() if p.requires_grad and id(p) not in governed]
    return Leaves(owned, where, said, tuple(bare), lazy)


def _said(model: nn.Module) -> dict[str, str]:
    """Return the name of each module without the segments that wrappers put into it."""
    modules = dict(model.named_modules(remove_duplicate=False))
    said = {"": ""}
    for name in [n for n in modules if n]:
        parent, _, own = name.rpartition(".")
        parallel = isinstance(
            modules[parent], nn.DataParallel | nn.parallel.DistributedDataParallel
        )
        wrapper = own in WRAPPED or (parallel and own == "module")
        said[name] = said[parent] if wrapper else _join(said[parent], own)
    return said


def _join(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _owns(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _is_leaf(module: nn.Module) -> bool:
    return isinstance(module, nn.MultiheadAttention) or not any(map(_owns, module.children()))


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _is_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding | nn.EmbeddingBag)


Accept = Callable[[Stack, type[nn.Module]], bool]


def _only(element: Element, test: Callable[[nn.Module], bool]) -> bool:
    """Return whether all that owns parameters in *element* passes *test*."""
    owners = [m for part in element for m in part.modules() if list(m.parameters(recurse=False))]
    return all(map(test, owners))


def _matrices(*element: nn.Module) -> int:
    return sum(p.ndim > 1 for module in element for p in module.parameters())


def _is_block(element: Element) -> bool:
    return _matrices(*element) > 1 and not (len(element) == 1 and _is_leaf(element[0]))


def _children(module: nn.Module, path: str) -> Stack:
    return [(_join(path, n), (c,)) for n, c in module.named_children() if _owns(c)]


def _lists(module: nn.Module, accept: Accept, path: str = "") -> Iterator[Stack]:
    """Yield the outermost lists of modules that *accept* takes, in order of registration."""
    if isinstance(module, nn.Sequential) and accept(
        stack := _children(module, path), nn.Sequential
    ):
        yield stack
        return
    children = dict(module.named_children())
    rows = {
        name: child
        for name, child in children.items()
        if isinstance(child, nn.ModuleList) and not _only((child,), _is_embedding)
    }
    while children:
        name, child = next(iter(children.items()))
        if name not in rows:
            del children[name]
            if not isinstance(child, CONTAINERS):
                yield from _lists(child, accept, _join(path, name))
            continue
        zipped = {n: rows[n] for n in rows if n in children and len(rows[n]) == len(rows[name])}
        elements = enumerate(zip(*zipped.values(), strict=True))
        stack = [(_join(path, name, str(i)), e) for i, e in elements if any(map(_owns, e))]
        if accept(stack, nn.ModuleList):
            yield stack
        else:
            for n, row in zipped.items():
                yield from _lists(row, accept, _join(path, n))
        for n in zipped:
            del children[n]


def _of_blocks(stack: Stack, kind: type[nn.Module]) -> bool:
    blocks = [e for _, e in stack if _is_block(e)]
    if kind is nn.ModuleList or not blocks:
        return bool(blocks)
    # A sequence may be a list of blocks, or chain a model that has one with its head.
    alike = Counter(type(e[0]) for e in blocks).most_common(1)[0][1] > 1
    return alike or not any(list(_lists(e[0], _of_blocks)) for e in blocks)


def _of_leaves(stack: Stack, kind: type[nn.Module]) -> bool:
    return bool(stack) and kind is nn.ModuleList


def _in_sequence(stack: Stack, kind: type[nn.Module]) -> bool:
    return len(stack) > 1 and kind is nn.Sequential


def _without_lists(model: nn.Module) -> Stack:
    path, module = "", model
    while len(inner := _children(module, path)) == 1:
        path, (module,) = inner[0]
    return [(path, (module,))] if _is_leaf(module) else inner


def _blocks(stack: Stack) -> Stack:
    """Return the blocks of a list: without leading and trailing others, its stages split."""
    at = [i for i, (_, e) in enumerate(stack) if _is_block(e)]
    kept = stack[at[0] : at[-1] + 1] if len(at) > 1 else stack
    return [found for name, element in kept for found in _stage(name, element)]


def _stage(name: str, element: Element) -> Stack:
    """Return the blocks of a stage, a module that is little more than a list of like blocks."""
    module, *others = element
    inside = {"": module} if isinstance(module, nn.Sequential) else dict(module.named_children())
    for own, child in inside.items():
        if others or not isinstance(child, nn.Sequential | nn.ModuleList):
            continue
        blocks = _children(child, _join(name, own))
        parts = [{n for n, _ in e[0].named_parameters()} for _, e in blocks]
        alike = all(part <= max(parts, key=len) for part in parts)
        rest = _matrices(module) - _matrices(child)  # a change of resolution has one matrix
        if blocks and alike and rest < 2 and all(_is_block(e) for _, e in blocks):
            return blocks
    return [(name, element)]


def _settled(stack: Stack) -> Stack:
    """Return the elements without embeddings, and with norms joined to the element after them."""
    out: Stack = []
    waiting: Element = ()
    for name, element in [s for s in stack if not _only(s[1], _is_embedding)] or stack:
        if _only(element, _is_norm):
            waiting += element
        else:
            out.append((name, waiting + element))
            waiting = ()
    if out and waiting:
        out[-1] = (out[-1][0], out[-1][1] + waiting)
    return out or stack


def _body(model: nn.Module) -> Stack:
    body = [s for stack in _lists(model, _of_blocks) for s in _settled(_blocks(stack))]
    for accept in (_of_leaves, _in_sequence):
        body = body or [s for stack in _lists(model, accept) for s in _settled(stack)]
    return body or _settled(_without_lists(model))


def by_structure(model: nn.Module, found: Leaves) -> Drawn:
    """Return the groups of *model* by the rules at the head of this file."""
    home: dict[nn.Module, str] = {}
    for path, element in _body(model):
        name = found.said[path] or type(model).__name__
        name = f"{name} (body)" if name in (INPUT, OUTPUT) else name
        for module in [m for part in element for m in part.modules()]:
            home.setdefault(module, name)
    known = [home.get(module, "") for module in found.module.values()]
    inner = [i for i, name in enumerate(known) if name]
    if not inner:  # what is listed owns no leaf
        return [(leaf or type(model).__name__, [leaf]) for leaf in found.owned]
    groups: dict[str, list[str]] = {INPUT: [], **{n: [] for n in home.values()}, OUTPUT: []}
    for i, (leaf, module) in enumerate(found.module.items()):
        after = bisect(inner, i)  # body leaves up to here
        if known[i]:
            name = known[i]
        elif after == 0 or _is_embedding(module):
            name = INPUT
        elif after == len(inner):
            name = OUTPUT
        elif "embed" in leaf.lower():
            name = INPUT
        else:
            name = known[inner[after - 1 if _is_norm(module) else after]]
        groups[name].append(leaf)
    return [(name, own) for name, own in groups.items() if own]
