"""A decision prepared for launch targets: the plan, its devices, facts about the server, and checks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypedDict, cast

from engine.base.aliases import Row
from engine.base.errors import RenderError, quote
from engine.base.printable import printable
from engine.base.records import field, record, replace
from engine.catalogs.servers import command_row, server_row
from engine.decide.decision import Decision
from engine.inventory import Inventory
from engine.model import Model
from engine.plan import Plan
from engine.render.launch.catalogs import catalogs_or_shipped, checkpoint, is_published_quantized
from engine.render.launch.command import Flag, Variable
from engine.render.launch.placement import (
    Group,
    Share,
    check_whole_nodes,
    count_nodes,
    device_numbers,
    group_shards,
)
from engine.render.launch.selection import device_variables

MODEL = Variable("$MODEL")
"""Placeholder for a model whose name is unknown."""


DRAFT = "DRAFT_MODEL"
"""Placeholder for a head or draft model whose name is unknown."""


class Serving(TypedDict, total=False):
    """The serving goals of a request that launch targets read: lengths in tokens, utilization as a ratio."""

    context: int
    concurrency: int
    utilization: float
    server_version: str
    kv_dtype: str
    batched_tokens: int
    speculative: str
    speculative_tokens: int
    draft_model: str
    max_loras: int
    max_lora_rank: int
    language_model_only: bool


@record
class Speculation:
    """Speculative decoding in the server's own words."""

    method: str
    """The server's name for the method."""
    name: str
    """The method's row in the catalog `speculative_methods`."""
    tokens: int
    """Tokens drafted per step."""
    model: str | None
    """The head or draft model to load; None if the method loads none."""


@record(eq=False)
class Launch:
    """A decision as launch targets read it."""

    server: str
    """The server's name in messages."""
    plan: Plan
    model: Model | None
    quantization: str
    device_kind: str
    """The kind of every device in the plan."""
    facts: Row
    """The device kind's row in the catalog `launch`."""
    numbers: tuple[int, ...]
    """The devices' numbers on their node, in the plan's order, without duplicates."""
    nodes: int
    serving: Serving
    row: Row | None = None
    """The server's row in the catalog `commands`; None for a server without one."""
    assumed: Row | None = None
    """The server's row in the catalog `servers`, if the policy reads it."""
    inventory: Inventory | None = None
    sibling: str | None = None
    """A published checkpoint of the model in the planned quantization, by its name on Hugging Face's hub."""
    other: bool = False
    """The model was published in another quantization than the planned one."""
    methods: Mapping[str, Row] = field(default_factory=dict)
    """Rows of the catalog `speculative_methods`, if the policy reads it."""

    @property
    def servers_before(self) -> int:
        """The most servers that the groups before this one run, if it is one of several."""
        return sum(plan.strategy.data_parallel for plan in self.plan.before)

    @property
    def model_source(self) -> str | None:
        """The name or path that the server loads; None if unknown.

        Raises:
            RenderError: the server would read it as an option, or it does not fit on one line.
        """
        source = None if self.model is None else self.model.source
        if self.sibling is not None:
            return self.sibling
        if source is None or self.lacks_checkpoint:
            return None
        if source.startswith("-"):
            raise RenderError(
                f"the model's source is {quote(source)}, which {self.server} would read as an option",
                hint="prefix a folder's name with ./",
            )
        if not source.strip() or printable(source) != source:
            raise RenderError(f"the model's source is {quote(source)}, which is not a valid command argument")
        return source

    @property
    def model_argument(self) -> str | Variable:
        """The name or path that the server loads, or a placeholder if unknown."""
        source = self.model_source
        return MODEL if source is None else source

    @property
    def environment(self) -> dict[str, str]:
        """The variables that select the devices, in the plan's order.

        Empty across nodes, on each of which `environment_on` selects devices.

        Raises:
            RenderError: the runtime selects the devices by something that is unknown.
        """
        if self.nodes > 1:
            return {}
        return device_variables(self.facts, self.plan.shards, self.numbers, self.inventory)

    @property
    def context(self) -> int | None:
        """Tokens of the longest request that the plan has memory for.

        None if it is unknown, or more than the model allows. Without a limit, a server allocates KV cache for
        the model's full context, or fails to start.
        """
        planned = self.serving.get("context")
        longest = None if self.model is None else self.model.context
        if planned is None and longest is not None and self.plan.estimates is not None:
            planned = self.plan.estimates.context
        return None if planned is None or (longest is not None and planned > longest) else int(planned)

    @property
    def concurrency(self) -> int:
        """Concurrent requests that the plan has memory for."""
        estimates = self.plan.estimates
        planned = self.serving.get("concurrency") if estimates is None else estimates.concurrency
        return int(planned or 1)

    @property
    def sequences(self) -> int | None:
        """Concurrent requests per data-parallel rank: those of the request, else the server's default.

        None if neither is known.
        """
        if self.serving.get("concurrency") is not None:
            return self.concurrency
        return None if self.assumed is None else int(self.assumed["sequences"])

    @property
    def utilization(self) -> float | None:
        """Fraction of device memory that the plan assumes; None if the policy's catalogs do not say."""
        asked = self.serving.get("utilization")
        if asked is not None or self.assumed is None:
            return asked
        return float(self.assumed["utilization"])

    @property
    def stage_layers(self) -> list[int]:
        """Number of layers per pipeline stage of a replica."""
        ranges = {shard.layer_range for shard in self.plan.shards}
        return [last - first + 1 for first, last in sorted(ranges)]

    @property
    def uneven_stages(self) -> str | None:
        """Layers per stage, `20,12`, if they differ by more than one, which no server chooses by itself.

        None also if the plan estimates the number of layers.
        """
        layers = self.stage_layers
        known = self.model is not None and self.model.layers == sum(layers)
        return ",".join(map(str, layers)) if known and max(layers) - min(layers) > 1 else None

    @property
    def has_experts(self) -> bool:
        """The model has routed experts, which data-parallel ranks of one server share."""
        return self.model is not None and bool(self.model.experts)

    @property
    def expert_parallel(self) -> int:
        """Ranks that routed experts are distributed over; 1 for none."""
        return self.plan.strategy.expert_parallel or 1

    @property
    def attention_parallel(self) -> int:
        """Data-parallel ranks that share one set of routed experts; 1 if each replica has its own.

        In a plan without that degree, expert parallel over more ranks than TP means that replicas share.
        """
        strategy = self.plan.strategy
        if strategy.attention_data_parallel is not None:
            return strategy.attention_data_parallel
        ranks, rest = divmod(self.expert_parallel, strategy.tensor_parallel)
        return max(ranks, 1) if not rest and not strategy.data_parallel % max(ranks, 1) else 1

    def groups(self, ranks: int | None = None, *, by_stage: bool = False) -> tuple[Group, ...]:
        """Return the groups of devices that run one server each.

        Args:
            ranks: data-parallel ranks per server; by default, those that share routed experts.
            by_stage: order the devices of a server by pipeline stage, then by data-parallel rank, as servers
                do that count these ranks as tensor parallel; by default, in the plan's order, rank by rank.
        """
        strategy = self.plan.strategy
        ranks = self.attention_parallel if ranks is None else ranks
        tensor, pipeline = strategy.tensor_parallel, strategy.pipeline_parallel
        size = tensor * pipeline * ranks
        shards = self.plan.shards
        if by_stage and ranks > 1 and pipeline > 1:
            shards = tuple(
                shards[start + (rank * pipeline + stage) * tensor + member]
                for start in range(0, len(shards), size)
                for stage in range(pipeline)
                for rank in range(ranks)
                for member in range(tensor)
            )
        return group_shards(shards, self.inventory, size, ranks)

    def environment_on(self, share: Share) -> dict[str, str]:
        """Return the environment for the devices of one node."""
        part = replace(self.plan, shards=share.shards)
        return replace(self, plan=part, numbers=share.numbers, nodes=1).environment

    def spelled(self, values: Mapping[str, Flag | None]) -> dict[str, Flag]:
        """Return flags under the names that the server's version has for them; without those that are None.

        Args:
            values: values by purpose, the keys of `options` in the catalog `commands`.

        Raises:
            RenderError: the version has no option for a purpose.
        """
        assert self.row is not None
        options: Mapping[str, str] = self.row["options"]
        flags: dict[str, Flag] = {}
        for purpose, value in values.items():
            if value is None:
                continue
            if purpose not in options:
                version = self.serving.get("server_version")
                named = self.server if version is None else f"{self.server} {version}"
                raise RenderError(f"{named} has no option for the plan's {purpose}")
            flags[options[purpose]] = value
        return flags

    @property
    def kv_dtype(self) -> str | None:
        """The server's name for the requested KV cache type; None for the checkpoint's.

        Raises:
            RenderError: the server has no such type.
        """
        asked = self.serving.get("kv_dtype")
        if asked is None or asked == "auto":
            return None
        names: Mapping[str, str] = (self.row or {}).get("kv_dtypes") or {}
        if asked not in names:
            raise RenderError(
                f"{self.server} cannot store the KV cache as {asked}",
                hint=f"it stores {', '.join(names)}" if names else "leave out --kv-dtype",
            )
        return names[asked]

    @property
    def speculation(self) -> Speculation | None:
        """Speculative decoding with the server's name for the method; None without.

        Raises:
            RenderError: the server has no such method.
        """
        asked = self.serving.get("speculative")
        if asked is None or asked not in self.methods:
            return None
        names: Mapping[str, str] = (self.row or {}).get("speculative") or {}
        if asked not in names:
            raise RenderError(
                f"the options of {self.server} for speculative decoding by {asked} are not known",
                hint=f"known: {', '.join(names)}" if names else "leave out --speculative",
            )
        facts = self.methods[asked]
        loads = facts["drafter"] in ("head", "model")
        model = self.serving.get("draft_model", DRAFT) if loads else None
        if model is not None and (model.startswith("-") or printable(model) != model):
            raise RenderError(f"the draft model is {quote(model)}, which is not a valid command argument")
        tokens = self.serving.get("speculative_tokens") or facts["tokens"]
        return Speculation(names[asked], asked, tokens, model)

    @property
    def adapters(self) -> dict[str, Flag | None]:
        """Values of options for LoRA adapters; none without.

        Raises:
            RenderError: the server has no such options.
        """
        asked, rank = self.serving.get("max_loras"), self.serving.get("max_lora_rank")
        if asked is None and rank is None:
            return {}
        assert self.row is not None
        facts = self.assumed or {}
        rank = rank or facts.get("lora_rank")
        ranks = [each for each in facts.get("lora_ranks") or () if rank is not None and each >= rank]
        return {
            "lora": True,
            "loras": asked or 1,
            "lora_rank": min(ranks, default=rank),
            "lora_targets": self.row["lora_targets"],
        }

    @property
    def host_layers(self) -> int:
        """Whole layers, or experts of whole layers, that the plan keeps in host memory."""
        estimates = self.plan.estimates
        return 0 if estimates is None else estimates.host_layers or 0

    @property
    def host_gib(self) -> float | None:
        """GiB per device that the plan keeps in host memory, rounded up to hundredths; None for none."""
        estimates = self.plan.estimates
        kept = None if estimates is None else estimates.host_memory_bytes_per_device
        return -(-kept * 100 // 2**30) / 100 if kept else None

    @property
    def leaves_out_towers(self) -> bool:
        """The request leaves out towers of a model that has some, or may have."""
        model = self.model
        return bool(self.serving.get("language_model_only")) and (model is None or model.tower_params != 0)

    @property
    def quantizes_cache(self) -> bool:
        """The request asks for a quantized KV cache."""
        asked = self.serving.get("kv_dtype")
        return asked is not None and asked != "auto" and asked not in self.dtypes

    @property
    def lacks_checkpoint(self) -> bool:
        """No checkpoint of the planned quantization is known, and the server cannot quantize another."""
        if self.model is None or self.sibling is not None or self.model.quantization is not None:
            return False
        if self.other:
            return True
        return self.quantization not in self.dtypes and self.load_time_method is None

    @property
    def dtypes(self) -> Mapping[str, str]:
        """Names of the formats that the server converts weights to when it loads them."""
        names: Mapping[str, str] = {} if self.row is None else self.row["dtypes"] or {}
        return names

    @property
    def load_time_method(self) -> str | None:
        """The option with which the server quantizes a checkpoint when it loads it; None if it cannot."""
        method: str | None = self.facts.get(f"{_column(self.server)}_{self.quantization}")
        return method

    @property
    def comments(self) -> tuple[str, ...]:
        """Lines for people above a command: a server that was not planned for, an unknown checkpoint."""
        lines = []
        planned, own = self.plan.server, None if self.row is None else self.row["server"]
        if planned is not None and planned != own:
            lines.append(f"planned for {planned}, which may use memory otherwise: decide with --target {own}")
        if self.lacks_checkpoint:
            assert self.model is not None
            of = self.model.source or self.model.name
            lines.append(f"MODEL: a checkpoint in {self.quantization}{'' if of is None else ' of ' + of}")
        speculation = self.speculation
        if speculation is not None and speculation.model == DRAFT:
            lines.append(f"{DRAFT}: what drafts tokens for {speculation.name}")
        return tuple(lines)

    def degree_flags(self, *, tensor: str, pipeline: str, data: str) -> dict[str, Flag]:
        """Return the parallel degrees above 1, under the server's names for them.

        Raises:
            RenderError: the tensor parallel degree does not divide the attention heads.
        """
        strategy = self.plan.strategy
        self.require_even_heads()
        degrees = {
            tensor: strategy.tensor_parallel,
            pipeline: strategy.pipeline_parallel,
            data: strategy.data_parallel,
        }
        return {name: degree for name, degree in degrees.items() if degree > 1}

    def weight_flags(self) -> dict[str, Flag]:
        """Return the flags for the weights' type; none if the checkpoint declares its quantization."""
        dtype = self.dtypes.get(self.quantization)
        if dtype is not None:
            return {"dtype": dtype}
        if self.lacks_checkpoint:
            return {}
        if self.model is not None and (self.model.quantization is not None or self.sibling is not None):
            return {}
        method = self.load_time_method
        return {} if method is None else {"quantization": method}

    def require_even_heads(self) -> None:
        """Check that every tensor parallel rank gets the same number of attention heads.

        Raises:
            RenderError: the degree does not divide the number of heads.
        """
        heads = None if self.model is None else self.model.attention_heads
        degree = self.plan.strategy.tensor_parallel
        if heads is not None and heads % degree:
            raise RenderError(
                f"{self.server} needs a tensor parallel size that divides the attention heads: "
                f"{heads} is not divisible by {degree}",
                hint="use fewer devices, or a policy that requires divisible heads",
            )

    def require_kv_dtype(self) -> None:
        """Check that the request leaves the KV cache's type to a server that has no option for it.

        Raises:
            RenderError: it asks for another type.
        """
        if self.kv_dtype not in (None, "auto"):
            raise RenderError(f"{self.server} has no option for the KV cache's type")

    def require_whole_nodes(self) -> None:
        """Check that the plan uses whole nodes, for targets with one description for all nodes.

        Raises:
            RenderError: it uses several nodes, one of them in part.
        """
        check_whole_nodes(self.plan.shards, self.inventory, self.server)

    def require_one_replica(self) -> None:
        """Check that the plan has one replica, for servers without data parallelism.

        Raises:
            RenderError: the plan has several.
        """
        replicas = self.plan.strategy.data_parallel
        if replicas > 1:
            raise RenderError(
                f"{self.server} runs a single replica, but the plan has {replicas}",
                hint="plan a single replica with --pin dp=1",
            )


def prepare(decision: Decision, server: str, kinds: Collection[str] | None = None) -> Launch:
    """Prepare a decision for a launch target.

    Args:
        decision: a decision with a plan.
        server: the server's name. Its column in the catalog `launch` has the same name in lowercase, with `_`
            for `-` and `.`; its rows in the catalogs `commands` and `servers` have it in lowercase.
            A server without a row in `commands` has PyTorch's names of data types.
        kinds: the device kinds that the server runs on; by default, those with true in the server's column,
            or those of its row in the catalog `commands`.

    Raises:
        RenderError: no plan, no shards, a plan that does not fit, or devices that the server does not run on.
    """
    plan = decision.plan
    if plan is None:
        because = "" if decision.explanation is None else f": {decision.explanation}"
        raise RenderError(f"{server} needs a plan, but the outcome is {decision.outcome}{because}")
    if not plan.shards:
        raise RenderError("nothing to launch: the plan has no shards")
    if decision.fits_in_memory is False:
        raise RenderError(f"the plan does not fit in device memory, so {server} would fail to start")
    planned = list(dict.fromkeys(shard.device.kind for shard in plan.shards))
    if len(planned) > 1:
        raise RenderError(f"{server} runs on one kind of device, but the plan uses {', '.join(planned)}")
    (kind,) = planned
    catalogs = catalogs_or_shipped(decision.catalogs)
    facts = catalogs("launch").rows.get(kind)
    if facts is None:
        hint = (
            f"add a row for {kind} to catalog launch, by a new version or a patch in a folder of --policies"
        )
        raise RenderError(f"{server}: '{kind}' is not in catalog launch", hint=hint)
    request = decision.request
    serving = (cast("Serving | None", None if request is None else request.inputs.get("serving"))) or {}
    row = command_row(server.lower(), serving.get("server_version"), catalogs)
    if row is None:
        row = command_row("pytorch", None, catalogs)
    _check_host_memory(plan, server, row)
    supported = facts.get(_column(server))
    if kinds is None and supported is None and row is not None:
        kinds = row["kinds"]
    if not (supported if kinds is None else kind in kinds):
        raise RenderError(f"{server} does not run on {kind}")
    inventory = None if request is None else request.inventory
    model = None if request is None else request.model
    return Launch(
        server=server,
        plan=plan,
        model=model,
        quantization=decision.quantization or "",
        device_kind=kind,
        facts=facts,
        numbers=device_numbers(plan.shards, inventory),
        nodes=count_nodes(plan.shards, inventory),
        serving=serving,
        row=row,
        assumed=server_row(server.lower(), kind, catalogs),
        inventory=inventory,
        sibling=_sibling(model, row, decision),
        other=_is_published_otherwise(model, decision),
        methods=catalogs("speculative_methods").rows if "speculative" in serving else {},
    )


def _check_host_memory(plan: Plan, server: str, row: Row | None) -> None:
    """Check that a server keeps weights in host memory as the plan does: layers, or any part of the weights.

    Raises:
        RenderError: it does not.
    """
    if plan.estimates is None or not plan.estimates.host_memory_bytes:
        return
    needed = "cpu_experts" if plan.estimates.host_layers else "cpu_offload"
    if needed not in ((row or {}).get("options") or {}):
        raise RenderError(
            f"{server} cannot keep weights in host memory as the plan does",
            hint=f"the plan is for {plan.server}" if plan.server else None,
        )


def _is_published_otherwise(model: Model | None, decision: Decision) -> bool:
    """Return True if a request asks for another quantization than a known model was published in."""
    if model is None or model.quantization is not None:
        return False
    return is_published_quantized(model, decision.catalogs)


def _sibling(model: Model | None, row: Row | None, decision: Decision) -> str | None:
    """Return the published checkpoint in the planned quantization of a model without quantization."""
    if model is None or model.source is None or model.quantization is not None:
        return None
    if row is None:
        return None
    return checkpoint(model.source, decision.quantization or "", row, decision.catalogs)


def _column(server: str) -> str:
    return server.lower().replace(".", "_").replace("-", "_")
