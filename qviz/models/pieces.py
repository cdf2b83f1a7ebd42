"""How is a network cut into pieces that run one behind the other, some of them with weights that can be exchanged?

A piece is a run of neighbouring nodes. What comes out of the pieces before it can be kept, so that a change in one
piece costs that piece and those behind it: half an inference on average, where a rebuilt network costs several.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.models.laid_out import open_laid_out
from qviz.models.network import Network, copied, outer_names
from qviz.models.sessions import open_session, run, with_outputs

PIECES = 20

Values = dict[str, Array]


@frozen
class Point:
    """A value on its way into a node, which can be quantized there and nowhere else.

    Attributes
    ----------
    value : str
        The name of the tensor.
    node : str
    input : int
        Its place among the node's inputs.
    """

    value: str
    node: str
    input: int

    @property
    def key(self) -> str:
        """What its parameters are called in a piece."""
        return f"qviz/{self.node}/{self.input}"


@frozen(eq=False)
class ActivationParameters:
    """How the values at a point are quantized: float32 scale, and zero point in the type of the codes."""

    scale: Array
    zero_point: Array


class Pieces:
    """A prepared network as consecutive pieces.

    Parameters
    ----------
    network : Network
        Prepared: nodes have names, constants are initializers.
    count : int
        How many pieces, of about as many nodes with weights each.
    weighted : mapping of str to float
        Names of nodes with weights, and what each costs: no piece gets much more than its share.
    """

    def __init__(self, network: Network, weighted: Mapping[str, float] | None = None, count: int = PIECES) -> None:
        self._model = network.model
        self.nodes = list(network.model.graph.node)
        self.outputs = [port.name for port in network.outputs]
        self._constants = {each.name: each for each in network.model.graph.initializer}
        self._inputs = [port.name for port in network.inputs]
        self._place = {node.name: i for i, node in enumerate(self.nodes)}
        self._costs = {self._place[name]: cost for name, cost in (weighted or {}).items()}
        self.starts = self._cuts(count)
        self._sessions: dict[Any, Any] = {}
        self._keys: set[Any] = set()
        self._ports: WeakKeyDictionary[Any, tuple[list[str], list[str]]] = WeakKeyDictionary()
        self._needed: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self.starts)

    def piece_of(self, node: str) -> int:
        """The number of the piece that a node is in."""
        return bisect_right(self.starts, self._place[node]) - 1

    def share_from(self, piece: int) -> float:
        """What a piece and those behind it cost, as a share of the whole."""
        total = sum(self._costs.values())
        behind = sum(cost for place, cost in self._costs.items() if place >= self.starts[piece])
        return behind / total if total else 1 - piece / len(self)

    def spans(self, count: int) -> list[tuple[int, int]]:
        """First and last pieces of about so many runs of pieces that cost about the same, at least one."""
        count = max(1, min(count, len(self)))
        if count == len(self):
            return [(piece, piece) for piece in range(len(self))]
        firsts, share = [0], (1 - 1e-9) / count
        for piece in range(1, len(self)):
            if self.share_from(firsts[-1]) - self.share_from(piece) >= share and len(firsts) < count:
                firsts.append(piece)
        return list(zip(firsts, [first - 1 for first in firsts[1:]] + [len(self) - 1], strict=True))

    def _cuts(self, count: int) -> list[int]:
        costs = self._costs or dict.fromkeys(range(len(self.nodes)), 1.0)
        share = sum(costs.values()) / max(1, min(count, len(costs)))
        starts, spent = [0], 0.0
        for place in sorted(costs):
            if spent and spent + costs[place] / 2 > share:
                starts.append(place)
                spent = 0.0
            spent += costs[place]
        return starts

    @cached_property
    def _infos(self) -> dict[str, Any]:
        """Types of all values: what the file says, else what the runtime says."""
        infos = {each.name: each for each in (*self._model.graph.value_info, *self._model.graph.input)}
        infos.update({each.name: each for each in self._model.graph.output})
        missing = [
            name
            for node in self.nodes
            for name in node.output
            if name and (name not in infos or not infos[name].type.tensor_type.elem_type)
        ]
        if missing:
            from onnx import helper

            session = open_session(with_outputs(self._model, tuple(missing)), optimized=False, threads=1)
            for each in session.get_outputs():
                if each.name in missing and each.type.startswith("tensor("):
                    infos[each.name] = helper.make_tensor_value_info(each.name, _element(each.type[7:-1]), None)
        return infos

    def _span(self, piece: int, last: int | None = None) -> tuple[int, int]:
        behind = (piece if last is None else last) + 1
        return self.starts[piece], self.starts[behind] if behind < len(self.starts) else len(self.nodes)

    def nodes_of(self, piece: int, last: int | None = None) -> list[Any]:
        """The nodes of a piece, or of all from it to a last one, in order."""
        return self.nodes[slice(*self._span(piece, last))]

    @cached_property
    def _last_use(self) -> dict[str, int]:
        last = dict.fromkeys(self.outputs, len(self.nodes))
        for place, node in enumerate(self.nodes):
            for name in outer_names(node):
                last[name] = max(last.get(name, -1), place)
        return last

    def needed(self, piece: int) -> list[str]:
        """The values that piece ``piece`` and those behind it read from before."""
        if piece not in self._needed:
            start = self.starts[piece]
            before = [*self._inputs, *(name for node in self.nodes[:start] for name in node.output if name)]
            self._needed[piece] = [name for name in before if self._last_use.get(name, -1) >= start]
        return self._needed[piece]

    def session(
        self,
        piece: int,
        *,
        last: int | None = None,
        exchanged: tuple[str, ...] = (),
        points: tuple[Point, ...] = (),
        switched: bool = False,
        weights: Mapping[str, Array] | None = None,
        parameters: Mapping[Point, ActivationParameters] | None = None,
        every: bool = False,
        laid_out: bool = False,
        threads: int = 0,
        key: Any = None,
    ) -> Any:
        """A session of one piece; one with the same ``key`` is made once.

        Parameters
        ----------
        piece : int
        last : int, optional
            A session of all pieces from ``piece`` to this one.
        exchanged : tuple of str
            Constants that are inputs of this session.
        points : tuple of Point
            Where activations are quantized, by ``parameters``.
        switched : bool
            Whether each point has an input ``KEY/on`` that says if it is.
        weights : mapping of str to array, optional
            Constants with other values than the network's.
        every : bool
            Whether all that its nodes compute is given out, not what others read alone.
        laid_out : bool
            Whether runs with other constants shall be quick: making the session takes twice as long.
        """
        place = (piece, last, exchanged, points, switched, every, key)
        if place not in self._sessions:

            def with_values(exchanged: tuple[str, ...], weights: Mapping[str, Array]) -> Any:
                span = self._span(piece, last)
                return self._piece_model(span, exchanged, points, switched, weights, parameters or {}, every)

            model = with_values(exchanged, weights or {})
            if laid_out and exchanged:
                session = open_laid_out(model, exchanged, partial(with_values, ()), threads=threads)
            else:
                session = open_session(model, threads=threads, fuse_pairs=False)
            self._sessions[place] = session
            self._keys.add(key)
        return self._sessions[place]

    def forget(self, key: Any) -> None:
        """Let the sessions of a key go."""
        if key in self._keys:
            self._keys.discard(key)
            self._sessions = {place: session for place, session in self._sessions.items() if place[-1] != key}

    def advance(self, session: Any, values: Values, extra: Mapping[str, Any] | None = None) -> Values:
        """The values before a piece and those that it makes."""
        wanted, names = self._ports_of(session)
        feeds = {name: values[name] for name in wanted if name in values}
        feeds.update({name: value for name, value in (extra or {}).items() if name in wanted})
        made = run(session, feeds, names)
        return {**values, **dict(zip(names, made, strict=True))}

    def _ports_of(self, session: Any) -> tuple[list[str], list[str]]:
        if session not in self._ports:
            ports = (session.get_inputs(), session.get_outputs())
            self._ports[session] = ([each.name for each in ports[0]], [each.name for each in ports[1]])
        return self._ports[session]

    def kept(self, values: Values, piece: int) -> Values:
        """What has to be kept of the values before piece ``piece``, for it and those behind it."""
        names = self.needed(piece) if piece < len(self) else self.outputs
        done = [name for name in self.outputs if name in values]
        return {name: values[name] for name in dict.fromkeys([*names, *done])}

    def _piece_model(
        self,
        span: tuple[int, int],
        exchanged: tuple[str, ...],
        points: tuple[Point, ...],
        switched: bool,
        weights: Mapping[str, Array],
        parameters: Mapping[Point, ActivationParameters],
        every: bool,
    ) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        start, stop = span
        nodes = [copied(node) for node in self.nodes[start:stop]]
        made = {name for node in nodes for name in node.output if name}
        read = dict.fromkeys(name for node in nodes for name in outer_names(node))
        inputs = [self._infos[n] for n in read if n not in made and n not in self._constants]
        constants = []
        for name in read:
            if name not in self._constants:
                continue
            tensor = self._constants[name]
            if name in exchanged:
                inputs.append(helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
            elif name in weights:
                dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
                constants.append(numpy_helper.from_array(weights[name].astype(dtype), name))
            else:
                constants.append(tensor)
        by_name = {node.name: node for node in nodes}
        inserted: dict[str, list[Any]] = {}
        for point in points:
            node = by_name.get(point.node)
            if node is None:
                continue
            here = parameters[point]
            key = point.key
            constants.append(numpy_helper.from_array(here.scale, f"{key}/scale"))
            constants.append(numpy_helper.from_array(here.zero_point, f"{key}/zero_point"))
            both = [f"{key}/scale", f"{key}/zero_point"]
            steps = [
                helper.make_node("QuantizeLinear", [point.value, *both], [f"{key}/codes"], name=f"{key}/q"),
                helper.make_node("DequantizeLinear", [f"{key}/codes", *both], [f"{key}/values"], name=f"{key}/dq"),
            ]
            if switched:
                inputs.append(helper.make_tensor_value_info(f"{key}/on", TensorProto.BOOL, []))
                where = helper.make_node(
                    "Where", [f"{key}/on", f"{key}/values", point.value], [f"{key}/out"], name=f"{key}/where"
                )
                steps.append(where)
            inserted.setdefault(point.node, []).extend(steps)
            node.input[point.input] = f"{key}/out" if switched else f"{key}/values"
        ordered = [each for node in nodes for each in (*inserted.get(node.name, ()), node)]
        needed = {name for name in made if self._last_use.get(name, -1) >= stop}
        known = {name for name in made if name in self._infos and self._infos[name].type.tensor_type.elem_type}
        wanted = [name for name in made if name in needed or (every and name in known)]
        outputs = [self._infos[name] for name in wanted]
        graph = helper.make_graph(ordered, f"nodes {start} to {stop}", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=list(self._model.opset_import))
        model.ir_version = max(self._model.ir_version, 8)
        model.functions.extend(self._model.functions)
        return model


def _element(name: str) -> int:
    from onnx import TensorProto

    names = {"float": "FLOAT", "double": "DOUBLE"}
    return int(getattr(TensorProto, names.get(name, name.upper())))
