/** A value that a test writes as MessagePack: binary data as Uint8Array, maps as plain objects. */
export type Packable =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Packable[]
  | { readonly [key: string]: Packable };

/** Writes a value as MessagePack, whole numbers in the shortest form that holds them. */
export function writeMsgpack(value: Packable): Buffer {
  if (value === null) return Buffer.of(0xc0);
  if (typeof value === "boolean") return Buffer.of(value ? 0xc3 : 0xc2);
  if (typeof value === "number") return Number.isInteger(value) ? integer(BigInt(value)) : float(value);
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "string") return text(Buffer.from(value, "utf8"));
  if (value instanceof Uint8Array) return Buffer.concat([sized(0xc4, value.length), value]);
  if (isList(value)) return Buffer.concat([head(0x90, 0xdc, value.length), ...value.map(writeMsgpack)]);
  const entries = Object.entries(value);
  return Buffer.concat([
    head(0x80, 0xde, entries.length),
    ...entries.flatMap(([key, one]) => [writeMsgpack(key), writeMsgpack(one)]),
  ]);
}

function isList(value: object): value is readonly Packable[] {
  return Array.isArray(value);
}

function float(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0xcb;
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function text(bytes: Buffer): Buffer {
  return Buffer.concat([bytes.length < 32 ? Buffer.of(0xa0 | bytes.length) : sized(0xd9, bytes.length), bytes]);
}

/** The head of a value whose length has 1, 2 or 4 bytes. */
function sized(tag: number, length: number): Buffer {
  if (length < 0x100) return Buffer.of(tag, length);
  const bytes = Buffer.alloc(length < 0x1_0000 ? 3 : 5);
  if (length < 0x1_0000) bytes.writeUInt16BE(length, 1);
  else bytes.writeUInt32BE(length, 1);
  bytes[0] = tag + (length < 0x1_0000 ? 1 : 2);
  return bytes;
}

/** The head of an array or a map. */
function head(short: number, long: number, length: number): Buffer {
  if (length < 16) return Buffer.of(short | length);
  const bytes = Buffer.alloc(length < 0x1_0000 ? 3 : 5);
  bytes[0] = length < 0x1_0000 ? long : long + 1;
  if (length < 0x1_0000) bytes.writeUInt16BE(length, 1);
  else bytes.writeUInt32BE(length, 1);
  return bytes;
}

function integer(value: bigint): Buffer {
  if (value >= 0n && value < 128n) return Buffer.of(Number(value));
  if (value < 0n && value >= -32n) return Buffer.of(Number(value) & 0xff);
  const isNegative = value < 0n;
  const size = isNegative
    ? [7, 15, 31, 63].findIndex((bits) => value >= -(2n ** BigInt(bits)))
    : [8, 16, 32, 64].findIndex((bits) => value < 2n ** BigInt(bits));
  const bytes = Buffer.alloc(9);
  bytes.writeBigInt64BE(BigInt.asIntN(64, value), 1);
  return Buffer.concat([Buffer.of((isNegative ? 0xd0 : 0xcc) + size), bytes.subarray(9 - 2 ** size)]);
}
