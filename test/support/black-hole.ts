import { dlopen, FFIType, ptr } from "bun:ffi";

/** A port to which no connection can be made and which does not refuse one either: the line before it is full. */
export interface BlackHole extends AsyncDisposable {
  readonly url: string;
}

const AF_INET = 2;
const SOCK_STREAM = 1;
const ADDRESS_BYTES = 16;

/** Linux only. By way of libc, as every listener of Bun accepts by itself what comes. */
export async function startBlackHole(): Promise<BlackHole> {
  const { i32, ptr: pointer } = FFIType;
  const libc = dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    bind: { args: [i32, pointer, i32], returns: i32 },
    listen: { args: [i32, i32], returns: i32 },
    getsockname: { args: [i32, pointer, pointer], returns: i32 },
    close: { args: [i32], returns: i32 },
  });
  const { socket, bind, listen, getsockname, close } = libc.symbols;
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  address.setUint16(0, AF_INET, true);
  address.setUint32(4, 0x7f_00_00_01);
  const bytes = new Uint8Array(address.buffer);
  const fd = socket(AF_INET, SOCK_STREAM, 0);
  const length = new Int32Array([ADDRESS_BYTES]);
  if (bind(fd, ptr(bytes), ADDRESS_BYTES) !== 0 || listen(fd, 0) !== 0 || getsockname(fd, ptr(bytes), ptr(length))) {
    throw new Error("no listener could be made");
  }
  const port = address.getUint16(2);
  // A line of length 0 has one place.
  const first = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => undefined } });
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      first.terminate();
      close(fd);
      libc.close();
    },
  };
}
