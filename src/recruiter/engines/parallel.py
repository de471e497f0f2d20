"""Several GPUs, or several processes on a CPU: one policy whose work is dealt out to all ranks.

`ParallelPolicy` in rank 0 is a `recruiter.engines.Policy` like any other, so the loop, its judges, logs and checkpoints know
nothing of ranks and exist once. Every rank has a whole `LocalPolicy`; what a verb is given is dealt out by length, and what
it gives is put together in order. Random numbers belong to a prompt and an answer, so who samples it makes no difference.

An update adds the gradients of all ranks, in one float32 buffer. Rank 0 alone has an optimizer: it clips and steps as one
process would, and all others take its adapter over, to the last bit. So ranks cannot drift apart, and a checkpoint is
that of one process: it can be continued on any number of them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, SupportsFloat, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

from recruiter.config import Config, SamplingParams
from recruiter.engines import SUMMED, Policy, Reader, Sample, TokenSums, TrainGroup, UpdateResult, torch_seed
from recruiter.engines.local import LocalPolicy
from recruiter.engines.model import LocalModel
from recruiter.engines.ranks import Peer, Place, Ranks, connect_launched, told
from recruiter.errors import ConfigError, EngineError, RecruiterError
from recruiter.prompts import Message

T = TypeVar("T")
TIME_TO_ADD = timedelta(minutes=5)  # for all ranks to add what each of them has ready


@contextmanager
def open_policy(config: Config, dtype: str | None, ranks: Ranks) -> Iterator[Policy]:
    """The policy that all ranks share; in a run of one process, its own.

    Args:
        dtype: what it computes in, where that was decided before.

    Raises:
        ModelError: there is no such model, it is no causal LM, or it is too large for this machine.
        EngineError: another rank cannot start.
    """
    if ranks.world == 1:
        yield LocalPolicy(config, dtype)
        return
    try:
        yield ParallelPolicy(config, dtype, ranks)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def open_model(gpus: int, *model: Any) -> Iterator[LocalModel]:
    """A model that writes on so many GPUs.

    Args:
        model: the arguments of `LocalModel`.

    Raises:
        ModelError: it is missing, no causal LM, or too large for this machine.
        EngineError: another rank cannot start.
    """
    if gpus == 1:
        yield LocalModel(*model)
        return
    with Ranks(gpus) as ranks:
        yield ParallelModel(ranks, *model)


def deal(weights: Sequence[int], ranks: int) -> list[list[int]]:
    """The items of each rank, ascending: of every `ranks` neighbours one each, the heaviest to whoever has the least so far.

    So all ranks have as much to do, and are at about the same place of the list while they do it.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for start in range(0, len(weights), ranks):
        neighbours = sorted(range(start, min(start + ranks, len(weights))), key=lambda index: -weights[index])
        for index, rank in zip(neighbours, sorted(range(ranks), key=lambda rank: loads[rank]), strict=False):
            shares[rank].append(index)
            loads[rank] += weights[index]
    return shares


class ParallelPolicy:
    """The policy of a run with several ranks, in rank 0. See `recruiter.engines.Policy`.

    Attributes:
        local: rank 0's own.
    """

    def __init__(self, config: Config, dtype: str | None, ranks: Ranks) -> None:
        """Start the other ranks and load the model everywhere.

        Raises:
            ModelError: there is no such model, it is no causal LM, or it is too large for a machine.
            ConfigError: a rank has no GPU.
            EngineError: another rank cannot start.
        """
        place = ranks.start(serve, "open", config, dtype)
        self.local, self.world, self._peers = LocalPolicy(config, dtype), ranks.world, ranks.peers
        self._ahead: set[tuple[int, ...]] = set()  # samples whose passes were computed ahead
        self._others: dict[str, _Figure] | None = None  # what other ranks add to the sums of the next update
        self._ratios: list[_Figure] = []
        self.apply(_here)
        for peer in self._peers:
            peer.tell("meet")
        _meet(place, self.local.device)
        self._share_adapter()

    @property
    def updates(self) -> int:
        """See `Policy`."""
        return self.local.updates

    def groups_per_pass(self, prompts: Sequence[list[Message]], group_size: int) -> int:
        """See `Policy`: as many on each rank as one takes alone."""
        return self.world * self.local.groups_per_pass(prompts, group_size)

    def sample(
        self, prompts: Sequence[list[Message]], group_size: int, sampling: SamplingParams, seed: int
    ) -> Iterator[list[Sample]]:
        """See `Policy`. The samples are those of one process."""
        shares = deal([len(self.local.local.encode(messages)) for messages in prompts], self.world)
        asked = self._tell(shares, lambda share: ("sample", prompts, group_size, sampling, seed, share))
        own = self.local.sample(prompts, group_size, sampling, seed, shares[0])
        for turn in range(max(map(len, shares))):
            found = {shares[0][turn]: next(own)} if turn < len(shares[0]) else {}
            found |= {shares[p.rank][turn]: p.answer(n) for p, n in asked.items() if turn < len(shares[p.rank])}
            yield from (found[index] for index in sorted(found))

    def logprobs(self, groups: Sequence[TrainGroup]) -> list[list[list[float]]]:
        """See `Policy`."""
        shares = self._shares(groups)
        asked = self._tell(shares, lambda share: ("logprobs", _some(groups, share)))
        return _in_order(shares, self.local.logprobs(_some(groups, shares[0])), asked)

    @contextmanager
    def base(self) -> Iterator[Reader]:
        """See `Policy`."""
        with self.local.base() as reader:
            yield _SharedReader(reader, self)

    def look_ahead(self, groups: Sequence[TrainGroup]) -> bool:
        """See `Policy`: every rank computes ahead what it will be given to train on, as far as it can."""
        shares = self._shares(groups)
        samples = tuple(id(sample) for group in groups for sample in group.samples)
        if samples not in self._ahead:
            self._ahead.add(samples)
            self._tell(shares, lambda share: ("look_ahead", _some(groups, share)))
        return self.local.look_ahead(_some(groups, shares[0]))

    def forward_backward(self, groups: Sequence[TrainGroup]) -> TokenSums:
        """See `Policy`. What other ranks add to the sums is known after the update."""
        shares = self._shares(groups)
        self._tell(shares, lambda share: ("forward_backward", _some(groups, share)))
        sums = self.local.forward_backward(_some(groups, shares[0]))
        sums.tokens = sum(group.tokens for group in groups)
        if self._others is None:
            self._others = {name: _Figure() for name in SUMMED}
            for name, figure in self._others.items():
                setattr(sums, name, _Figure(getattr(sums, name), figure))
            self._ratios = [_Figure() for _ in self._peers]
            sums.max_ratios += cast(list[float], self._ratios)
        return sums

    def optim_step(self, tokens: int) -> UpdateResult:
        """See `Policy`.

        Raises:
            EngineError: another rank has ended; nothing was updated, unless it ended within the moment that an update takes.
        """
        asked = {peer: peer.tell("update") for peer in self._peers}
        told = [peer.answer(number) for peer, number in asked.items()]  # each has computed all its passes
        for ratio, (figures, largest) in zip(self._ratios, told, strict=True):
            ratio.parts.append(largest)
            for name, figure in (self._others or {}).items():
                figure.parts.append(figures[name])
        self._others = None
        self._ahead.clear()
        try:
            _add_gradients(self.local)
            result = self.local.optim_step(tokens)
            _hand_over(self.local)
        except EngineError:
            self.apply(_here)  # says which rank it was
            raise
        return result

    def snapshot(self) -> Callable[[Path], None]:
        """See `Policy`: what one process would write."""
        return self.local.snapshot()

    def load(self, folder: Path) -> None:
        """See `Policy`. The other ranks need not see the folder.

        Raises:
            ModelError: the folder holds no adapter, one that does not fit this model, or a checkpoint of SkyRL.
        """
        self.local.load(folder)
        self._share_adapter()

    def apply(self, function: Callable[[LocalPolicy], T]) -> list[T]:
        """What a function of a module returns for the policy of each rank, rank 0 first."""
        asked = {peer: peer.tell("apply", function) for peer in self._peers}
        return [function(self.local), *(peer.answer(number) for peer, number in asked.items())]

    def read(
        self, reader: Reader, verb: str, prompts: Sequence[Any], texts: Sequence[Sequence[str]], *more: Any
    ) -> Any:
        """What a reader's verb gives, every rank reading a share; `reader` is rank 0's."""
        lengths = [
            sum(map(len, group)) + sum(len(m["content"]) for m in p) for p, group in zip(prompts, texts, strict=True)
        ]
        shares = deal(lengths, self.world)
        asked = self._tell(shares, lambda share: ("read", verb, _some(prompts, share), _some(texts, share), *more))
        own = getattr(reader, verb)(_some(prompts, shares[0]), _some(texts, shares[0]), *more)
        return _in_order(shares, own, asked)

    def _shares(self, groups: Sequence[TrainGroup]) -> list[list[int]]:
        prompts = [len(self.local.local.encode(group.messages)) for group in groups]
        return deal([group.tokens + prompt for group, prompt in zip(groups, prompts, strict=True)], self.world)

    def _tell(self, shares: Sequence[list[int]], words: Callable[[list[int]], tuple[Any, ...]]) -> dict[Peer, int]:
        """Tell every other rank that has a share what to do; return under which number each answers."""
        return {peer: peer.tell(*words(shares[peer.rank])) for peer in self._peers if shares[peer.rank]}

    def _share_adapter(self) -> None:
        for peer in self._peers:
            peer.tell("take_over")
        _hand_over(self.local)


class ParallelModel(LocalModel):
    """A model on several GPUs that write together, in rank 0, which alone reads."""

    def __init__(self, ranks: Ranks, *model: Any) -> None:
        """Start the other ranks and load the model everywhere; see `open_model`."""
        ranks.start(serve, "load", *model)
        super().__init__(*model)
        self._ranks = ranks

    def portions(
        self,
        prompts: Sequence[list[Message]],
        group_size: int,
        sampling: SamplingParams,
        seed: int,
        done: Set[int] = frozenset(),
        progress: Callable[[float], None] = lambda _: None,
        only: Sequence[int] | None = None,
    ) -> Iterator[tuple[list[int], list[list[Sample]]]]:
        """As `LocalModel.portions`, in any order; progress is that of rank 0, which has as much to do as any other."""
        wanted = list(range(len(prompts)) if only is None else only)
        dealt = deal([len(self.encode(prompts[index])) for index in wanted], self._ranks.world)
        shares = [_some(wanted, share) for share in dealt]
        asked = (prompts, group_size, sampling, seed, done)
        told = {
            peer: peer.tell("portions", *asked, shares[peer.rank]) for peer in self._ranks.peers if shares[peer.rank]
        }
        working = [super().portions(*asked, progress, shares[0])] if shares[0] else []
        working += [iter(partial(peer.answer, number), None) for peer, number in told.items()]
        while working:
            for each in list(working):
                if (portion := next(each, None)) is not None:
                    yield portion
                else:
                    working.remove(each)


class _SharedReader:
    """The untrained model of all ranks. See `recruiter.engines.Reader`."""

    def __init__(self, reader: Reader, policy: ParallelPolicy) -> None:
        self.parameters, self.fingerprint = reader.parameters, reader.fingerprint
        self._reader, self._policy = reader, policy

    def answer_logprobs(
        self, prompts: Sequence[list[Message]], answers: Sequence[Sequence[str]]
    ) -> list[list[list[float]]]:
        """See `Reader`."""
        return cast(list[list[list[float]]], self._policy.read(self._reader, "answer_logprobs", prompts, answers))

    def answer_states(
        self, prompts: Sequence[list[Message]], answers: Sequence[Sequence[str]], depth: float
    ) -> list[NDArray[np.float32]]:
        """See `Reader`."""
        read = self._policy.read(self._reader, "answer_states", prompts, answers, depth)
        return cast(list[NDArray[np.float32]], read)

    def choice_logits(
        self, openings: Sequence[list[Message]], endings: Sequence[Sequence[str]], choices: Sequence[str]
    ) -> list[list[list[float]]]:
        """See `Reader`."""
        return cast(
            list[list[list[float]]], self._policy.read(self._reader, "choice_logits", openings, endings, choices)
        )


class _Figure:
    """A sum that may be added to until somebody wants to know it, which `float` tells."""

    def __init__(self, *parts: SupportsFloat) -> None:
        self.parts = list(parts)

    def __add__(self, other: SupportsFloat) -> _Figure:
        return _Figure(self, other)

    __radd__ = __add__

    def __float__(self) -> float:
        return sum(map(float, self.parts), 0.0)


def _some(items: Sequence[T], share: Sequence[int]) -> list[T]:
    return [items[index] for index in share]


def _in_order(shares: Sequence[list[int]], own: Sequence[T], asked: dict[Peer, int]) -> list[T]:
    """What all ranks found of their shares, in the order of the whole."""
    found = dict(zip(shares[0], own, strict=True))
    for peer, number in asked.items():
        found |= zip(shares[peer.rank], peer.answer(number), strict=True)
    return [found[index] for index in sorted(found)]


def _here(_policy: LocalPolicy) -> None:
    """Nothing but that the rank is there and has loaded its model."""


# ---- what all ranks do together ---------------------------------------------------------------------------------------


def _meet(place: Place, device: torch.device) -> None:
    """Make the group of all ranks; returns when all are there."""
    is_gpu = device.type == "cuda"
    distributed.init_process_group(
        "nccl" if is_gpu else "gloo",
        store=distributed.TCPStore(place.host, place.port, timeout=TIME_TO_ADD),  # type: ignore[attr-defined]
        rank=place.rank,
        world_size=place.world,
        timeout=TIME_TO_ADD,
        device_id=torch.device("cuda", place.local_rank) if is_gpu else None,
    )


def _add_gradients(policy: LocalPolicy) -> None:
    """Add the gradients of all ranks, in an order that is the same every time."""
    flat_P = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in policy.parameters])
    with _all_are_there():
        distributed.all_reduce(flat_P)
    for parameter, part in zip(policy.parameters, flat_P.split([p.numel() for p in policy.parameters]), strict=True):
        parameter.grad = part.view_as(parameter)


def _hand_over(policy: LocalPolicy, is_taking: bool = False) -> None:
    """Give rank 0's adapter to the others, or take it."""
    flat_P = torch.cat([parameter.detach().flatten() for parameter in policy.parameters])
    with _all_are_there():
        distributed.broadcast(flat_P, src=0)
    if is_taking:
        policy.take_over(flat_P)


@contextmanager
def _all_are_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError:
        raise EngineError(
            "A process has ended in the middle of an update: run the same command again to continue from the last checkpoint."
        ) from None


# ---- the other ranks --------------------------------------------------------------------------------------------------


def serve_launched() -> None:
    """Serve rank 0 in a process that torchrun has started, until it is needed no more.

    Raises:
        EngineError: rank 0 does not appear.
    """
    if (connection := connect_launched()) is not None:
        serve(connection)


def serve(connection: Connection, threads: int | None = None) -> None:
    """Do what rank 0 says, in its order.

    Args:
        threads: that this process may compute with; None: as they are.
    """
    if threads:
        torch.set_num_threads(threads)
    helper = _Helper()
    try:
        for number, verb, args in told(connection):
            try:
                for answer in getattr(helper, verb)(*args):
                    connection.send((number, answer))
            except RecruiterError as error:
                connection.send((number, error))
            except Exception as error:
                traceback.print_exc()
                reason = " ".join(str(error).split())[:300].rstrip(".")
                failure = f"Process {helper.place.rank + 1} has failed ({type(error).__name__}: {reason})."
                connection.send((number, EngineError(failure)))
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


class _Helper:
    """What a rank does that rank 0 tells something: each method gives the answers, if there are any."""

    place: Place
    policy: LocalPolicy
    model: LocalModel

    def open(self, place: Place, config: Config, dtype: str | None) -> Iterable[Any]:
        self.place, self._sums = place, TokenSums()
        if config.trainer.device != "cpu" and torch.cuda.is_available():
            _take_gpu(place)
        self.policy = LocalPolicy(config, dtype)
        torch.manual_seed(torch_seed(config.trainer.seed + place.rank))  # each rank drops out what it likes
        return ()

    def load(self, place: Place, path: str, device: str, *more: Any) -> Iterable[Any]:
        self.place = place
        if device != "cpu" and torch.cuda.is_available():
            _take_gpu(place)
        self.model = LocalModel(path, device, *more)
        return ()

    def portions(self, prompts: Any, size: int, sampling: Any, seed: int, done: Any, share: Any) -> Iterable[Any]:
        yield from self.model.portions(prompts, size, sampling, seed, done, only=share)
        yield None

    def meet(self) -> Iterable[Any]:
        _meet(self.place, self.policy.device)
        return ()

    def sample(
        self, prompts: list[list[Message]], size: int, sampling: SamplingParams, seed: int, share: list[int]
    ) -> Iterable[list[Sample]]:
        return self.policy.sample(prompts, size, sampling, seed, share)

    def logprobs(self, groups: list[TrainGroup]) -> Iterable[Any]:
        yield self.policy.logprobs(groups)

    def read(self, verb: str, *args: Any) -> Iterable[Any]:
        with self.policy.base() as reader:
            yield getattr(reader, verb)(*args)

    def look_ahead(self, groups: list[TrainGroup]) -> Iterable[Any]:
        self.policy.look_ahead(groups)
        return ()

    def forward_backward(self, groups: list[TrainGroup]) -> Iterable[Any]:
        self._sums.add(self.policy.forward_backward(groups))
        return ()

    def update(self) -> Iterable[Any]:
        sums, self._sums = self._sums, TokenSums()
        yield {name: float(getattr(sums, name)) for name in SUMMED}, max(map(float, sums.max_ratios), default=0.0)
        _add_gradients(self.policy)
        _hand_over(self.policy, is_taking=True)

    def take_over(self) -> Iterable[Any]:
        _hand_over(self.policy, is_taking=True)
        return ()

    def apply(self, function: Callable[[LocalPolicy], Any]) -> Iterable[Any]:
        yield function(self.policy)


def _take_gpu(place: Place) -> None:
    """Compute on the GPU that has the number of this rank on its machine."""
    there = torch.cuda.device_count()
    if place.local_rank >= there:
        raise ConfigError(
            f"Process {place.rank + 1} of {place.world} has number {place.local_rank} on its machine, where torch sees {there} "
            f"GPUs: start as many processes there as it has GPUs."
        )
    torch.cuda.set_device(place.local_rank)
