import asyncio, io, time, os, cProfile, pstats
from dataclasses import replace
from datetime import UTC, datetime
from sqlalchemy import text
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery import outbox, worker
from huntaze_pipeline.delivery.limiter import Limits
from huntaze_pipeline.delivery.outfit import Options
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.delivery.sender import Sender
from huntaze_pipeline.delivery.platforms.base import *
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.store.session import Store
N = int(os.environ.get("N", "10000"))
class P:
    capabilities = Capabilities("onlyfans", 1000)
    n = 0
    async def send(self, m, *, timeout_s):
        await asyncio.sleep(0.02); P.n += 1
        return Outcome(Kind.SENT, "r", 200)
    async def close(self): ...
import pytest

def test_stages(settings, store, creator):
    from huntaze_pipeline.delivery import relay
    now = datetime.now(UTC)
    with store.worker() as c:
        for i in range(200):
            c.execute(text("insert into accounts (creator_id,id,platform,handle) values ('maya',:i,'onlyfans',:i)"), {"i": f"acc{i}"})
        base = Decision(creator_id="maya", source="api", source_id="x", rule_hash="h", fan_id="fan-1", platform="onlyfans", account_id="acc0", address="fan-1", content="Hi", not_before=now, decided_at=now)
        outbox.record(c, [replace(base, account_id=f"acc{i%200}", occurrence=str(i)) for i in range(N)])
    made = worker.parts(settings, store=Store(settings), platforms={"onlyfans": P()}, limits=lambda _: Limits(100000, 60), out=io.StringIO())
    def clocked(name, f, n=N):
        t=time.monotonic(); c=time.process_time(); r=f(); print(name, "wall/s", round(n/(time.monotonic()-t)), "cpu/s", round(n/(time.process_time()-c)), r); return r
    clocked("relay", lambda: relay.publish(made.store, made.queue, system_clock(), limit=N))
    def recv():
        k=0
        while True:
            got = made.queue.receive("medium", wait_s=0)
            if not got: return k
            made.direct.park([g.parcel for g in got]); made.queue.delete("medium", got); k+=len(got)
    clocked("receive", recv)
    async def go():
        made.queue=None
        await Sender(made, Options(concurrency=200)).run(asyncio.Event(), until_idle=True)
    pr=cProfile.Profile()
    clocked("send", lambda: asyncio.run(go()))
    worker.close(made); made.store.engine.dispose()
