import asyncio, os, sys
from deploy.local.grpc_health import serving
from deploy.local.ports import free_port
async def test_main(infrastructure):
    p={n: free_port() for n in ("identity","customers")}
    procs=[]
    for n in p:
        env={**os.environ,"KEJING_BIND":f"127.0.0.1:{p[n]}","KEJING_IDENTITY_ADDRESS":f"127.0.0.1:{p['identity']}","KEJING_COMMAND_KEY_FILE":str(infrastructure.command_key_file),
             "KEJING_NATS_URL":await infrastructure.nats_url(n),"KEJING_DATABASE_URL":await infrastructure.database_url(n)}
        procs.append(await asyncio.create_subprocess_exec(sys.executable,"-m",f"services.{n}.main",env=env,stdout=asyncio.subprocess.PIPE,stderr=asyncio.subprocess.STDOUT))
    for n in p:
        for _ in range(200):
            if await serving(f"127.0.0.1:{p[n]}"): break
            await asyncio.sleep(0.1)
        else: print("NOT SERVING", n)
    await asyncio.sleep(1)
    for q in procs:
        q.terminate()
        out,_=await asyncio.wait_for(q.communicate(),20)
        print(q.returncode, out.decode()[-600:])
