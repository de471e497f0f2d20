"""The processes that share a run: how they start, find each other, and end together.

Rank 0 is the process that the user started, or torchrun's first one. The others serve it: each does what it is told over a
connection, and answers there (`parallel.py` says what). A connection ends with the process at its other end, however that
ends, so nobody waits for a rank that is gone: rank 0 raises one sentence, the others end too.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, Self

from recruiter.config import Config
from recruiter.errors import ConfigError, EngineError, RecruiterError

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

HERE, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 (whoever connects from elsewhere must know a secret)
ADDRESS = "recruiter/rank0"  # where torchrun's ranks read how to reach rank 0
TIME_TO_CHECK = timedelta(minutes=15)  # for rank 0, before it needs the others
SECONDS_TO_END = 10.0


def launched_rank() -> int:
    """The rank that torchrun gave this process; 0 without it."""
    return int(os.environ["RANK"]) if _launched_world() > 1 else 0


def _launched_world() -> int:
    return int(os.environ.get("WORLD_SIZE", 1)) if {"RANK", "MASTER_ADDR"} <= os.environ.keys() else 1


def _launched_store() -> Store:
    """The store that torchrun's ranks share."""
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(rendezvous("env://", timeout=TIME_TO_CHECK))[0]
    return store


@dataclass(frozen=True)
class Place:
    """Where a rank stands.

    Attributes:
        rank, world: its number among so many.
        local_rank: its number on its machine, which is that of its GPU.
        host, port: of a store that all ranks reach.
    """

    rank: int
    world: int
    local_rank: int
    host: str
    port: int


class Ranks:
    """All ranks of a run, as rank 0 sees them. Its context ends the others.

    Attributes:
        world: how many there are, rank 0 included.
        peers: the others, once started.
    """

    def __init__(self, world: int, launched: Store | None = None) -> None:
        """None is started yet.

        Args:
            launched: the store of those that torchrun started.
        """
        self.world, self._launched = world, launched
        self.peers: list[Peer] = []
        self._store: Store | None = None
        self._threads = 0

    @classmethod
    def of_run(cls, config: Config) -> Self:
        """As many as a run's settings or torchrun say.

        Raises:
            ConfigError: there are too few GPUs, or another engine trains.
        """
        if (world := _launched_world()) > 1:
            if config.engine != "local":
                raise ConfigError(
                    f"engine={config.engine} starts its processes itself: run the command without torchrun."
                )
            return cls(world, _launched_store())
        trainer = config.trainer
        return cls(count_ranks(trainer.gpus, trainer.device, "trainer.gpus=") if config.engine == "local" else 1)

    def start(self, serve: Callable[[Connection, int], None], verb: str, *opening: Any) -> Place:
        """Start the other ranks, or meet those that torchrun started; tell each its place and what it opens with.

        Args:
            serve: what one does that is started here, with its connection and the threads that it may use.
            verb: with which it opens.

        Returns:
            the place of rank 0.
        """
        import torch
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        is_spread = self._launched and os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]
        host = os.environ["MASTER_ADDR"] if is_spread else HERE
        self._store = store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        if self._launched:
            self.peers = self._meet(self._launched, host)
        else:
            self._threads = torch.get_num_threads()
            torch.set_num_threads(max(1, self._threads // self.world))
            self.peers = [self._spawn(rank, serve, torch.get_num_threads()) for rank in range(1, self.world)]
        for peer in self.peers:
            peer.tell(verb, Place(peer.rank, self.world, peer.local_rank, host, store.port), *opening)
        return Place(0, self.world, 0, host, store.port)

    def _spawn(self, rank: int, serve: Callable[[Connection, int], None], threads: int) -> Peer:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, threads), name=f"rank {rank}")
        process.start()
        there.close()
        return Peer(rank, rank, self.world, here, process)

    def _meet(self, launched: Store, host: str) -> list[Peer]:
        secret = secrets.token_bytes(32)
        with Listener((host if host == HERE else EVERYWHERE, 0), authkey=secret) as listener:
            launched.set(ADDRESS, json.dumps([host, listener.address[1], secret.hex()]))
            connections = [listener.accept() for _ in range(1, self.world)]
        peers = []
        for connection in connections:
            rank, local_rank = connection.recv()
            peers.append(Peer(rank, local_rank, self.world, connection))
        return sorted(peers, key=lambda peer: peer.rank)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._launched and self._store is None:
            self._launched.set(ADDRESS, json.dumps(None))  # nobody is needed
        for peer in self.peers:
            peer.release()
        for peer in self.peers:
            peer.end()
        if self._threads:
            import torch

            torch.set_num_threads(self._threads)


def count_ranks(wanted: int | Literal["auto"], device: str, spelled: str) -> int:
    """How many processes so many GPUs mean.

    Args:
        device: where they compute: auto, cpu or cuda.
        spelled: how the user wrote the number, up to the number.

    Raises:
        ConfigError: there are too few GPUs.
    """
    if wanted == 1:
        return 1
    import torch

    there = torch.cuda.device_count()
    if device == "cpu" or not there:
        return 1 if wanted == "auto" else wanted
    if wanted != "auto" and wanted > there:
        raise ConfigError(f"{spelled}{wanted}, but torch sees {there} on this machine; write auto, or {there} or less.")
    return there if wanted == "auto" else wanted


class Peer:
    """Another rank, as rank 0 sees it."""

    def __init__(
        self, rank: int, local_rank: int, world: int, connection: Connection, process: BaseProcess | None = None
    ) -> None:
        self.rank, self.local_rank, self._world = rank, local_rank, world
        self._connection, self._process = connection, process
        self._answers: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._told = 0
        threading.Thread(target=self._listen, name=f"rank {rank}", daemon=True).start()

    def tell(self, verb: str, *args: Any) -> int:
        """Have it do something after all that it was told before; return the number under which it answers.

        Raises:
            EngineError: it has ended.
        """
        self._told += 1
        try:
            self._connection.send((self._told, verb, args))
        except OSError:
            self.answer(self._told)
        return self._told

    def answer(self, number: int) -> Any:
        """Wait for its next answer under this number.

        Raises:
            EngineError: it has ended, or failed.
            RecruiterError: what it could not do, in one sentence.
        """
        while True:
            about, answer = self._answers.get()
            if isinstance(answer, RecruiterError):
                self._answers.put((about, answer))  # whoever asks again hears the same
                raise answer
            if about == number:  # others are of work that nobody waits for any more
                return answer

    def _listen(self) -> None:
        try:
            while True:
                self._answers.put(self._connection.recv())
        except (EOFError, OSError):
            self._answers.put((0, EngineError(self._ended())))

    def _ended(self) -> str:
        code = None
        if self._process is not None:
            self._process.join(SECONDS_TO_END)
            code = self._process.exitcode
        how = (
            f" (killed by {signal.Signals(-code).name})"
            if code and code < 0
            else f" (exit code {code})"
            if code
            else ""
        )
        return (
            f"Process {self.rank + 1} of {self._world} has ended{how}: run the same command again to continue from what is "
            f"stored, on any number of GPUs."
        )

    def release(self) -> None:
        """Tell it that it is needed no more."""
        with suppress(OSError):
            self._connection.send((0, "end", ()))

    def end(self) -> None:
        """See that it ends."""
        if self._process is not None:
            self._process.join(SECONDS_TO_END)
            if self._process.is_alive():
                self._process.kill()
        self._connection.close()


def connect_launched() -> Connection | None:
    """The connection to rank 0 of a process that torchrun started; None where rank 0 needs nobody.

    Raises:
        EngineError: rank 0 does not appear.
    """
    try:
        address = json.loads(_launched_store().get(ADDRESS))
    except RuntimeError:
        raise EngineError(f"Process 1 of {_launched_world()} did not appear within {TIME_TO_CHECK}.") from None
    if address is None:
        return None
    host, port, secret = address
    connection = Client((host, port), authkey=bytes.fromhex(secret))
    connection.send((launched_rank(), int(os.environ.get("LOCAL_RANK", launched_rank()))))
    return connection


def told(connection: Connection) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
    """What rank 0 tells a process: number, verb, arguments, until it says that this was all.

    Signals are left to rank 0, which finishes what is under way. Where rank 0 ends otherwise, so does this process, at once.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    heard: SimpleQueue[tuple[int, str, tuple[Any, ...]]] = SimpleQueue()

    def listen() -> None:
        try:
            while True:
                heard.put(connection.recv())
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=listen, name="rank 0", daemon=True).start()
    while (one := heard.get())[1] != "end":
        yield one
