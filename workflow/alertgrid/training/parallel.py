"""How do several GPUs of a node train one run? One process each, and torch's DistributedDataParallel between them.

Every process plans the same epoch and takes its share of each batch, so the batch that the optimizer sees stays the
same. Gradients, losses and scores are exchanged; the first process leads: it alone holds the lock, writes checkpoints
and the run folder, and decides when to stop.

What differs from one process: the order of float32 sums; the draws of dropout, since each process has its own alerts;
and batch normalisation, which on GPUs is synchronised (SyncBatchNorm) and on CPUs sees the share of its process only.
The metadata network, MaxViT, ResNet and EfficientNet have it; the custom CNN and ConvNeXt do not.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from ..checkpoints import Checkpoints
from ..errors import Interrupted, StudyError
from .data import Feed
from .interrupts import WARNINGS, Watch
from .randomness import EpochPlan
from .step import Inputs, Learner, split

LEAST = 2  # alerts of a batch that a process needs, for batch normalisation; smaller batches are done by all
SPARE_SECONDS = 600.0  # for the leader to save and leave after it was asked to stop
Work = Callable[[int], None]


def size() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 leads."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@dataclass
class SharedLearner(Learner):
    """A learner whose gradients are the mean over the processes.

    Attributes
    ----------
    wrapped : DistributedDataParallel
        The network as it is called while training.
    whole : dict
        Seed of a step -> number of alerts of its whole batch.
    parts : int
        Pieces in which every process takes its share of the current batch.
    """

    wrapped: nn.Module | None = None
    whole: dict[int, int] = field(default_factory=dict)
    parts: int = 1

    @property
    def processes(self) -> int:
        """Number of processes that share a batch."""
        return size()

    def mine(self, plan: EpochPlan) -> EpochPlan:
        """This process's share of every batch; a batch too small to be shared is done by all processes alike."""
        self.whole = {seed: len(order) for seed, order in zip(plan.seeds, plan.order, strict=True)}
        return replace(plan, order=[_share(part) for part in plan.order], symmetry=[_share(s) for s in plan.symmetry])

    def call(self, image: torch.Tensor | None, metadata: torch.Tensor | None) -> torch.Tensor:
        """Logits; while training through the wrapper, which exchanges gradients as the backward pass goes."""
        return (self.wrapped if self.network.training else self.network)(image, metadata)

    def positions(self, feed: Feed) -> torch.Tensor:
        """Positions of a split that this process scores; all of a split that is too small."""
        return _share(super().positions(feed))

    def score(self, feed: Feed, precision: str, tick: Callable[[], None] | None = None) -> torch.Tensor:
        """Logits of a whole split: each process scores its part, all get the whole."""
        own = super().score(feed, precision, tick)
        if len(own) == len(feed):
            return own
        lengths = [len(part) for part in torch.arange(len(feed)).tensor_split(size())]
        padded = torch.zeros(max(lengths), device=self.device)
        padded[: len(own)] = own
        gathered = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(gathered, padded)
        return torch.cat([logits[:length] for logits, length in zip(gathered, lengths, strict=True)])

    def _attempt(self, inputs: Inputs, labels: torch.Tensor, seed: int) -> torch.Tensor:
        """Gradients of this share, averaged over the processes; the mean loss of the whole batch."""
        whole = self.whole[seed]
        shared = whole >= LEAST * size()
        self.share = size() / whole if shared else 1 / whole
        self.parts = self.count_parts(whole // size() if shared else whole, -(-whole // size()) if shared else whole)
        # Processes that see other alerts draw other dropout masks; those that see the same draw the same.
        loss = super()._attempt(inputs, labels, seed + rank() * shared)
        if loss is None:
            raise StudyError(
                f"process {rank()} of {size()}", f"memory runs out with {len(labels)} alerts", "room for them",
                'say machine: "micro_batch=N" in the profile (it halves itself only where one process trains)',
            )  # fmt: skip
        distributed.all_reduce(loss)
        return loss / size()

    def _parts(self, inputs: Inputs, labels: torch.Tensor) -> Iterator[tuple[Inputs, torch.Tensor]]:
        """The share in as many pieces as the others', since all wait for each other; gradients go out with the last."""
        for number, part in enumerate(split(inputs, labels, self.parts), 1):
            with contextlib.nullcontext() if number == self.parts else self.wrapped.no_sync():
                yield part


def _share(batch: torch.Tensor) -> torch.Tensor:
    """This process's part of a batch; all of a batch that is too small."""
    return batch.tensor_split(size())[rank()] if len(batch) >= LEAST * size() else batch


def share(learner: Learner) -> Learner:
    """The learner, made to share its batches where several processes train together."""
    if size() == 1:
        return learner
    if learner.device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # knows timm's own kinds of it too

        convert_sync_batchnorm(learner.network)
    devices = [learner.device] if learner.device.type == "cuda" else None
    return SharedLearner(**vars(learner), wrapped=DistributedDataParallel(learner.network, device_ids=devices))


def _of_the_leader(value: Any) -> Any:
    """What the leader gives, in all processes."""
    content = [value]
    distributed.broadcast_object_list(content, src=0)
    return content[0]


class SharedCheckpoints:
    """Checkpoints of the leader; what it loads, all load. `folder` is its folder, in all."""

    def __init__(self, own: Checkpoints | None = None):
        self.own = own
        self.fingerprint = own.fingerprint if own else ""
        self.folder = _of_the_leader(own and own.folder)

    def load(self) -> dict[str, Any] | None:
        """The leader's checkpoint."""
        return _of_the_leader(self.own and self.own.load())

    def get(self, name: str) -> dict[str, Any] | None:
        """What the leader has kept under this name."""
        return _of_the_leader(self.own and self.own.get(name))

    def save(self, *given: Any) -> None:
        """Written by the leader alone."""
        if self.own:
            self.own.save(*given)

    def put(self, *given: Any) -> None:
        """Written by the leader alone."""
        if self.own:
            self.own.put(*given)

    def clear(self) -> None:
        """Cleared by the leader alone."""
        if self.own:
            self.own.clear()


def keeper(own: Checkpoints) -> Checkpoints | SharedCheckpoints:
    """Checkpoints of a run, shared where several processes train together."""
    return own if size() == 1 else SharedCheckpoints(own)


def run_together(work: Work, count: int, *, device: str, log: Path) -> None:
    """Run `work(rank)` in `count` processes that know each other, and wait for them.

    Parameters
    ----------
    work : callable
        Picklable; returns nothing. The first one watches its time itself.
    count : int
        Processes, each with its own GPU where `device` is cuda.
    log : path
        Prefix of the files that the other processes print to.

    Raises
    ------
    Interrupted, StudyError
        As the first process that failed said it; the others are ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Watch() as watch:
        arguments = (work, count, "nccl" if device == "cuda" else "gloo", folder, log)
        context = multiprocessing.start_processes(_member, arguments, nprocs=count, join=False, start_method="spawn")
        try:
            _wait(context, watch)
        except (multiprocessing.ProcessExitedException, multiprocessing.ProcessRaisedException) as error:
            raise _reason(Path(folder), watch, error) from None
        finally:
            for process in context.processes:
                if process.is_alive():
                    process.kill()


def _wait(context: multiprocessing.ProcessContext, watch: Watch) -> None:
    """Until all have ended; a SIGTERM is handed on to the leader, which saves and leaves."""
    asked = None
    while not context.join(timeout=1, grace_period=2):
        if watch.signal and asked is None:
            asked = time.monotonic()
            context.processes[0].terminate()
        if asked and time.monotonic() - asked > SPARE_SECONDS:
            raise Interrupted(f"{watch.signal} received; the leading process did not end")


def _member(number: int, work: Work, count: int, backend: str, folder: str, log: Path) -> None:
    """One of the processes; an error is left in a file, since an exit status says too little."""
    with contextlib.ExitStack() as stack:
        if number:
            # A scheduler warns every process of a job; the leader needs the others until it has saved.
            for warning in WARNINGS:
                signal.signal(warning, signal.SIG_IGN)
            printed = stack.enter_context(open(log.with_name(f"{log.name}{number}.log"), "a", buffering=1))
            stack.enter_context(contextlib.redirect_stdout(printed))
            stack.enter_context(contextlib.redirect_stderr(printed))
        distributed.init_process_group(backend, f"file://{folder}/meeting", rank=number, world_size=count)
        try:
            work(number)
            distributed.barrier()
        except (StudyError, Interrupted) as error:
            Path(folder, f"error{number}").write_bytes(pickle.dumps((type(error), error.args)))
            sys.stderr.flush()
            os._exit(1)  # an orderly end would wait for the others, which wait for this one
        distributed.destroy_process_group()


def _reason(folder: Path, watch: Watch, error: Exception) -> Exception:
    """The error of the first process that left one, else what is known."""
    for path in sorted(folder.glob("error*")):
        kind, arguments = pickle.loads(path.read_bytes())
        return kind(*arguments)
    if watch.signal:
        return Interrupted(f"{watch.signal} received before the training had begun")
    return RuntimeError(f"one of the processes was lost: {error}")
