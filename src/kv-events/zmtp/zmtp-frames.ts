/** The bytes of ZMTP 3.1 (rfc.zeromq.org/spec/37) that a subscriber and a dealer write. */

/** Length of the greeting: signature 10, version 2, mechanism 20, role 1, zeros 31. */
export const GREETING_BYTES = 64;

/** Bits of a frame's first byte. */
export const MORE = 1;
export const LONG = 2;
export const COMMAND = 4;

/** Longest body whose length is one byte. */
const SHORT_BYTES = 255;

/** The kinds of socket that the gateway plays. */
export type SocketType = "SUB" | "DEALER";

/** Our greeting: version 3.1, mechanism NULL (no credentials), not as a server. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(GREETING_BYTES);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = 3;
  bytes[11] = 1;
  bytes.write("NULL", 12, "latin1");
  return bytes;
}

/** One frame. `flags` is MORE or COMMAND or 0; LONG is set here. */
export function frame(body: Uint8Array, flags: number): Buffer {
  if (body.length <= SHORT_BYTES) {
    const bytes = Buffer.allocUnsafe(2 + body.length);
    bytes[0] = flags;
    bytes[1] = body.length;
    bytes.set(body, 2);
    return bytes;
  }
  const bytes = Buffer.allocUnsafe(9 + body.length);
  bytes[0] = flags | LONG;
  bytes.writeBigUInt64BE(BigInt(body.length), 1);
  bytes.set(body, 9);
  return bytes;
}

/** A message of one or more frames. */
export function message(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.map((part, index) => frame(part, index < parts.length - 1 ? MORE : 0)));
}

/** A command: its name, and what follows the name. */
export function command(name: string, data: Uint8Array): Buffer {
  return frame(Buffer.concat([Buffer.of(name.length), Buffer.from(name, "latin1"), data]), COMMAND);
}

/** The command that ends our half of the handshake. */
export function ready(type: SocketType): Buffer {
  return command("READY", property("Socket-Type", type));
}

function property(name: string, value: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name, "latin1"), length, Buffer.from(value, "latin1")]);
}

/** Subscribes to messages whose first frame begins with `topic`: a command from version 3.1 on, a message before. */
export function subscription(topic: string, minorVersion: number): Buffer {
  const bytes = Buffer.from(topic, "utf8");
  return minorVersion >= 1 ? command("SUBSCRIBE", bytes) : frame(Buffer.concat([Buffer.of(1), bytes]), 0);
}

/** Asks whether the peer is there. `ttlMs`: it may drop the connection when it hears nothing for this time, 0 to 6,553,500. */
export function ping(ttlMs: number): Buffer {
  const ttl = Buffer.alloc(2);
  // In tenths of a second.
  ttl.writeUInt16BE(Math.min(65_535, Math.round(ttlMs / 100)));
  return command("PING", ttl);
}
