"""The same server as grpc-js-server.mjs, of Python's grpcio."""

import asyncio
import json
import sys
import time

import grpc


def tell(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def begin(request, context):
    plan = json.loads(request.split(b"\n")[0])
    left = context.time_remaining()
    tell(
        event="start",
        id=plan["id"],
        requestBytes=len(request),
        leftMs=left * 1000 if left is not None else None,
        metadata={key: value for key, value in context.invocation_metadata() if isinstance(value, str)},
    )
    return plan


written = {}


async def stream(request, context):
    plan = begin(request, context)
    context.set_trailing_metadata((("x-trailer", plan["id"]),))
    try:
        for index in range(plan.get("count", 0)):
            body = bytes([index % 251]) * plan.get("size", 10)
            await context.write(body)
            written[plan["id"]] = written.get(plan["id"], 0) + len(body)
            if plan.get("paceMs"):
                await asyncio.sleep(plan["paceMs"] / 1000)
        if plan.get("stalls"):
            await asyncio.sleep(3600)
    except asyncio.CancelledError:
        tell(event="cancelled", id=plan["id"])
        raise
    if plan.get("status"):
        await context.abort(code(plan["status"]), plan.get("message", ""))


async def unary(request, context):
    plan = begin(request, context)
    try:
        if plan.get("stalls"):
            await asyncio.sleep(3600)
    except asyncio.CancelledError:
        tell(event="cancelled", id=plan["id"])
        raise
    if plan.get("status"):
        await context.abort(code(plan["status"]), plan.get("message", ""))
    return bytes([7]) * plan.get("size", 10)


def code(number):
    return next(status for status in grpc.StatusCode if status.value[0] == number)


async def main():
    compression = grpc.Compression.Gzip if "--gzip" in sys.argv else grpc.Compression.NoCompression
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # As engines have it, at the pace of a test: by itself it takes two pings in five minutes for an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", 100),
    ]
    server = grpc.aio.server(options=options, compression=compression)
    handlers = {
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    tell(event="listening", port=port)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).strip():
        if line.startswith(b"written "):
            call_id = line[8:].decode()
            tell(event="written", id=call_id, bytes=written.get(call_id, 0))
        if line == b"drain":
            await server.stop(30)
            tell(event="drained")


asyncio.run(main())
