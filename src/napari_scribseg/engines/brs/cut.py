"""A network cut in two at a layer: the part before it is computed once, the part behind it again and again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from napari_scribseg.core import InputError
from napari_scribseg.engines.brs.loading import first_line

__all__ = ["Cut", "Values"]

Values = dict[fx.Node, Any]

_aten = torch.ops.aten


class Cut:
    """A network, traced for one size of its input, and cut after a layer.

    Parameters
    ----------
    module : nn.Module
        A network, or an exported one.
    x : Tensor of shape (1, C, h, w)
        An input; only its size counts.
    layer : {"A", "B", "C"}
        ``"A"``: the last layer of the coarsest scale; ``"B"``: the last layer before the finest scale; ``"C"``: what
        the last convolution takes. (Sofiuk et al. cut after the backbone, after the pyramid pooling, and before the
        last layers of another network.)
    name : str
        For messages.

    Attributes
    ----------
    channels : int
        Of the layer's output.

    Raises
    ------
    InputError
        If the network cannot be traced, as most TorchScript cannot.
    """

    def __init__(self, module: nn.Module, x: Tensor, layer: str, name: str) -> None:
        try:
            with torch.no_grad():
                self._graph = make_fx(module)(x)
                shapes = _shapes(self._graph, x)
        except Exception as error:  # tracing foreign code may raise anything
            raise InputError(
                f"{name} cannot be taken apart for f-brs ({first_line(error)}); the engine brs takes it as it is"
            ) from error
        self._place = _place(shapes, layer)
        _split(self._graph.graph, {self._place, *_dependents(self._place)}, shapes)
        after = _dependents(self._place)
        self._first = [node for node in self._graph.graph.nodes if node not in after]
        self._second = [node for node in self._graph.graph.nodes if node in after]
        self._kept = {n for node in self._second for n in node.all_input_nodes if n not in after}
        self.channels = shapes[self._place][1]

    def before(self, x: Tensor) -> Values:
        """The values that the second part needs, the layer's output included."""
        values = _run(self._graph, self._first, {}, x)
        return {node: values[node] for node in self._kept | {self._place}}

    def layer(self, values: Values) -> Tensor:
        """The output of the layer, shape (1, channels, h', w')."""
        found: Tensor = values[self._place]
        return found

    def after(self, values: Values, output: Tensor) -> Any:
        """The network's output if the layer's output were ``output``."""
        computed = {**values, self._place: output}
        return _run(self._graph, self._second, computed, None)[self._second[-1]]


def _run(graph: fx.GraphModule, nodes: Iterable[fx.Node], computed: Values, x: Tensor | None) -> Values:
    """The values given, and those of some nodes in their order; ``x`` is the input, if one of them is."""
    values = dict(computed)

    def of(node: fx.Node) -> Any:
        return values[node]

    for node in nodes:
        if node.op == "placeholder":
            values[node] = x
        elif node.op == "get_attr":
            values[node] = getattr(graph, str(node.target))
        elif node.op == "output":
            values[node] = fx.node.map_arg(node.args[0], of)
        else:
            operation: Any = node.target
            arguments: list[Any] = list(fx.node.map_arg(node.args, of))
            if _overwrites(node) and node.args[0] in computed:  # computed values are used again
                arguments[0] = arguments[0].clone()
            values[node] = operation(*arguments, **fx.node.map_arg(node.kwargs, of))
    return values


def _overwrites(node: fx.Node) -> bool:
    """Whether an operation writes its result over its first argument."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _shapes(graph: fx.GraphModule, x: Tensor) -> dict[fx.Node, tuple[int, ...]]:
    """Shapes of the values that have the axes of an image, in order."""
    values = _run(graph, graph.graph.nodes, {}, x)
    return {
        node: tuple(value.shape)
        for node, value in values.items()
        if node.op in ("call_function", "placeholder")
        and isinstance(value, Tensor)
        and value.ndim == 4
        and value.is_floating_point()
    }


def _place(shapes: dict[fx.Node, tuple[int, ...]], layer: str) -> fx.Node:
    """The node after which to cut."""
    nodes = list(shapes)
    convolutions = [node for node in nodes if "convolution" in str(node.target)]
    last = next((n for n in convolutions[-1].all_input_nodes if n in shapes), nodes[0])
    if layer == "C":
        return last
    end = nodes.index(last)
    area = {node: shapes[node][2] * shapes[node][3] for node in nodes[: end + 1]}
    coarser = [node for node in area if 1 < area[node] < area[last]]  # 1: squeeze and excite
    if not coarser:
        return last
    return coarser[-1] if layer == "B" else [n for n in coarser if area[n] == min(area[m] for m in coarser)][-1]


def _split(graph: fx.Graph, changed: set[fx.Node], shapes: dict[fx.Node, tuple[int, ...]]) -> None:
    """Split each convolution of channels that change, concatenated with others that do not, as at a U-Net's skips.

    A convolution is the sum of those of its input channels: the constant part is computed once, and has no gradient.
    """
    for node in list(graph.nodes):
        joined = node.args[0] if node in changed and node.target is _aten.convolution.default else None
        if not isinstance(joined, fx.Node) or joined.target is not _aten.cat.default or joined.args[1:] != (1,):
            continue
        parts: Any = joined.args[0]
        alone = len(joined.users) == 1 and node.args[6] is False and node.args[8] == 1  # not transposed, one group
        some = len({*parts}) == len(parts) and {*parts} <= {*shapes} and not {*parts} <= changed
        if not (alone and some):
            continue
        ends = list(accumulate(shapes[part][1] for part in parts))
        ranges = list(zip(parts, [0, *ends[:-1]], ends, strict=True))
        with graph.inserting_before(node):
            new = _convolved(graph, node, [r for r in ranges if r[0] in changed], node.args[2])
            computed = _convolved(graph, node, [r for r in ranges if r[0] not in changed], None)
            node.replace_all_uses_with(graph.call_function(_aten.add_.Tensor, (new, computed)))
        graph.erase_node(node)
        graph.erase_node(joined)


def _convolved(graph: fx.Graph, node: fx.Node, ranges: list[tuple[fx.Node, int, int]], bias: Any) -> fx.Node:
    """The convolution of ``node``, of some of its inputs only, each with the channels that it has there."""

    def together(nodes: list[fx.Node]) -> fx.Node:
        return nodes[0] if len(nodes) == 1 else graph.call_function(_aten.cat.default, (nodes, 1))

    weights = [graph.call_function(_aten.slice.Tensor, (node.args[1], 1, start, stop)) for _, start, stop in ranges]
    dense = graph.call_function(_aten.clone.default, (together(weights),))
    given = together([part for part, _, _ in ranges])
    return graph.call_function(_aten.convolution.default, (given, dense, bias, *node.args[3:]))


def _dependents(place: fx.Node) -> set[fx.Node]:
    """All nodes that depend on one."""
    found: set[fx.Node] = set()
    stack = list(place.users)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.users)
    return found
