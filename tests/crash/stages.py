"""Brings the starter's worker into a stage, seen from outside, and leaves it frozen there; proves it after its death.

A stage is a generator: it yields the frozen process, and goes on when that is dead. Raises Missed.
"""

import contextlib
from collections.abc import Callable, Iterator
from random import Random

from tests.crash.asked import Asked
from tests.crash.rounds import Manner, Stage
from tests.crash.scene import FRANCE, TALE, Scene
from tests.crash.victim import Missed, die, freeze, maps, thaw, until, workers

WORDS = "river stone lamp winter paper engine silver garden horse window bread letter music cloud iron".split()
Act = Callable[[Scene, Random], Iterator[int]]


def load(scene: Scene, dice: Random) -> Iterator[int]:
    """Before the worker has said that it is ready: the gateway says so in its error."""
    scene.unload()
    known = workers(scene.pid)
    asked = scene.ask(FRANCE)
    until(lambda: workers(scene.pid) - known, "no worker starts")
    (pid,) = workers(scene.pid) - known
    sign = dice.choice(["", "libllama", ".gguf"])
    until(lambda: sign in maps(pid) or not asked.is_alive(), "it does not load")
    yield frozen(pid)
    asked.wait()
    if "ended while loading" not in asked.error:
        raise Missed(f"it was not loading: {asked.error or asked.status}")
    asked.assert_failed()


def prefill(scene: Scene, dice: Random) -> Iterator[int]:
    """Admitted, and no token has come: only then the request is sent to another worker and answered after all."""
    pid = scene.loaded()
    asked = scene.ask(raw(" ".join(dice.choices(WORDS, k=150)), 4))
    until(lambda: scene.worker().get("running"), "it is not admitted")
    yield frozen(pid)
    if dice.random() < 0.5:
        kill_again(scene, pid)
        asked.assert_failed()
    else:
        asked.assert_whole()


def kill_again(scene: Scene, pid: int) -> None:
    """The request is with a second worker now; when that dies too, it has failed."""
    until(lambda: scene.worker().get("pid", pid) != pid and scene.worker().get("running"), "it is not sent again")
    second = scene.worker()["pid"]
    die(frozen(second), Manner.KILL, contextlib.nullcontext())


def decode(scene: Scene, dice: Random) -> Iterator[int]:
    """After the n-th frame with text and before the last."""
    pid, openai = scene.loaded(), dice.random() < 0.5
    asked, count = story(scene, openai=openai), dice.randrange(1, 12)
    until(lambda: len(asked.lines) > count or not asked.is_alive(), "it says nothing")
    yield frozen(pid)
    asked.wait()
    if asked.finished:
        raise Missed("it had ended")
    assert len(asked.lines) > count
    asked.assert_failed()


def story(scene: Scene, *, openai: bool) -> Asked:
    body = {"messages": [{"role": "user", "content": "Tell me a very long story."}]}
    if openai:
        return scene.ask({**body, "max_tokens": 300, "temperature": 0}, route="/v1/chat/completions")
    return scene.ask({**body, "options": {"num_predict": 300, "temperature": 0}}, route="/api/chat")


def saving(scene: Scene, dice: Random) -> Iterator[int]:
    """A snapshot has a file and not its name yet. The half file is never used, and goes with the next load."""
    pid = scene.loaded()
    resumed(scene, dice.randrange(10**6))
    asked = scene.ask({"keep_alive": 0}) if dice.random() < 0.5 else None
    until(scene.partials, "nothing is saved", 10)
    found = frozen(pid)
    if not scene.partials():
        raise missed(pid, "it was saved")
    yield found
    half = scene.partials()
    if asked:
        asked.wait()
    if not half:
        raise Missed("it was saved before it died")
    resumed(scene, dice.randrange(10**6))
    assert not set(half) & set(scene.partials())


def restoring(scene: Scene, dice: Random) -> Iterator[int]:
    """The worker maps the file of a snapshot. The request is sent to another worker, which restores it."""
    scene.unload()
    pid = scene.loaded()
    asked = scene.ask(raw(f"{TALE} {dice.randrange(10**6)}", 2))
    until(lambda: ".kv" in maps(pid) or not asked.is_alive(), "nothing is restored")
    found = frozen(pid)
    if ".kv" not in maps(pid):
        raise missed(pid, "it was restored")
    yield found
    asked.wait()
    if asked.text and asked.error:
        raise Missed("it had begun to answer")
    asked.assert_whole()
    assert asked.lines[-1]["hoshikage"]["cache"]["reason"] == "hit_disk"


def snapshot(scene: Scene, dice: Random) -> Iterator[int]:
    yield from (saving if dice.random() < 0.7 else restoring)(scene, dice)


def resumed(scene: Scene, number: int) -> None:
    """One more turn of the tale, which costs no evaluation of it."""
    cache = scene.answer(raw(f"{TALE} {number}", 2))["hoshikage"]["cache"]
    assert cache["evaluated"] < 30, cache


def raw(prompt: str, tokens: int) -> dict[str, object]:
    return {"prompt": prompt, "raw": True, "options": {"num_predict": tokens, "temperature": 0}}


def frozen(pid: int) -> int:
    freeze(pid)
    return pid


def missed(pid: int, why: str) -> Missed:
    thaw(pid)
    return Missed(why)


ACTS: dict[Stage, Act] = {Stage.LOAD: load, Stage.PREFILL: prefill, Stage.DECODE: decode, Stage.SNAPSHOT: snapshot}
