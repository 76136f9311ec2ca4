"""Nodes of a control plane that is not ours."""

from plugins.clock import HandClock
from plugins.world import Bench

from reconciler.dev.serve import Options, serve
from reconciler.model.names import ObjectKey


async def test_ready_nodes_renew_their_leases(apiserver, kubeconfig, tmp_path):
    clock = HandClock()
    world = await serve(tmp_path / "world", Options(clock=clock, control_plane=kubeconfig))
    bench = Bench(world)
    await bench.add_node("silent", ready=False)
    await bench.add_node("n")

    async def lease(name="n"):
        return await bench.client.get(ObjectKey("Lease", "kube-node-lease", name))

    first = await bench.eventually(lease)
    assert first["spec"]["holderIdentity"] == "n"
    clock.advance(10)

    async def renewed():
        return (await lease())["spec"]["renewTime"] > first["spec"]["renewTime"]

    await bench.eventually(renewed)
    assert await lease("silent") is None
    await world.stop()
