"""How often greedy answers stay the same: with drafts and without, and between two plain runs of other chunk sizes.

llama.cpp's logits differ a little between batch shapes, so the second share is what the first is to be held against.
"""

import asyncio
from contextlib import aclosing

from compat.peers.texts import COPYING, STORIES
from hoshikage.engine import wire
from hoshikage.engine.client import Engine
from hoshikage.sampling import SamplingOptions
from tests.conftest import pulled

TOKENS = 64
MODELS = {"S": "starter", "G": "gemma3-270m"}
RUNS = {"plain": (512, False), "drafts": (512, True), "plain with N_BATCH=16": (16, False)}


async def main() -> None:
    for letter, name in MODELS.items():
        said = {run: await answers(name, *settings) for run, settings in RUNS.items()}
        for run in list(RUNS)[1:]:
            same = sum(a == b for a, b in zip(said["plain"], said[run], strict=True))
            print(f"{letter}: plain and {run}: {same} of {len(said[run])} answers of {TOKENS} tokens are the same")


async def answers(name: str, batch: int, speculation: bool) -> list[str]:
    load = wire.Load(
        path=str(pulled(name)),
        n_ctx=4096,
        n_batch=batch,
        n_threads=0,
        n_gpu_layers=0,
        num_parallel=1,
        speculation=speculation,
    )
    engine = await Engine.start(load)
    said = [await answer(engine, prompt) for prompt in (*STORIES, *COPYING.values())]
    await engine.close()
    return said


async def answer(engine: Engine, prompt: str) -> str:
    sampling = SamplingOptions(temperature=0.0)
    command = wire.Generate(id=0, owner="bench", prompt=prompt, sampling=sampling, max_tokens=TOKENS)
    async with aclosing(engine.generate(command)) as events:
        return "".join([event.text async for event in events if isinstance(event, wire.Text)])


if __name__ == "__main__":
    asyncio.run(main())
