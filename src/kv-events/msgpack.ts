/** A value of a message. Whole numbers beyond 2^53 are bigint; binary data is a view of the message. */
export type MsgpackValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly MsgpackValue[]
  | ReadonlyMap<MsgpackValue, MsgpackValue>
  | undefined;

/** The bytes are no MessagePack, or nested deeper than any message that we know. */
export class MsgpackError extends Error {
  override readonly name = "MsgpackError";
}

/** Deepest nesting. Batches of events have five levels. */
const MAX_DEPTH = 16;
const TEXT = new TextDecoder();

/**
 * Reads one MessagePack value (github.com/msgpack/msgpack/blob/master/spec.md), and nothing may follow it. Extension types are read
 * over and become undefined. Throws MsgpackError. Its memory is bounded by the message: every announced element takes at least a byte of it.
 */
export function readMsgpack(bytes: Uint8Array): MsgpackValue {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (!reader.isAtEnd) throw new MsgpackError("bytes follow the value");
  return value;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(depth: number): MsgpackValue {
    const tag = this.#bytes[this.#take(1)] ?? 0;
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag < 0x90) return this.#map(tag & 0x0f, depth);
    if (tag < 0xa0) return this.#array(tag & 0x0f, depth);
    if (tag < 0xc0) return this.#text(tag & 0x1f);
    return tag < 0xcc ? this.#simple(tag) : tag < 0xd4 ? this.#integer(tag) : this.#sized(tag, depth);
  }

  /** Nil, booleans, binary data, extensions of any length, floats. */
  #simple(tag: number): MsgpackValue {
    switch (tag) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#binary(this.#length(tag - 0xc4));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        // One byte more: the extension's type.
        this.#take(this.#length(tag - 0xc7) + 1);
        return undefined;
      case 0xca:
        return this.#view.getFloat32(this.#take(4));
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      default:
        throw new MsgpackError("a byte that begins no value");
    }
  }

  #integer(tag: number): number | bigint {
    switch (tag) {
      case 0xcc:
        return this.#view.getUint8(this.#take(1));
      case 0xcd:
        return this.#view.getUint16(this.#take(2));
      case 0xce:
        return this.#view.getUint32(this.#take(4));
      case 0xcf:
        return asSafe(this.#view.getBigUint64(this.#take(8)));
      case 0xd0:
        return this.#view.getInt8(this.#take(1));
      case 0xd1:
        return this.#view.getInt16(this.#take(2));
      case 0xd2:
        return this.#view.getInt32(this.#take(4));
      default:
        return asSafe(this.#view.getBigInt64(this.#take(8)));
    }
  }

  /** Extensions of fixed length, and texts, arrays and maps with a length of their own. */
  #sized(tag: number, depth: number): MsgpackValue {
    if (tag < 0xd9) {
      this.#take(1 + 2 ** (tag - 0xd4));
      return undefined;
    }
    if (tag < 0xdc) return this.#text(this.#length(tag - 0xd9));
    if (tag < 0xde) return this.#array(this.#length(tag - 0xdb), depth);
    return this.#map(this.#length(tag - 0xdd), depth);
  }

  /** A length of 1, 2 or 4 bytes. */
  #length(size: number): number {
    if (size === 0) return this.#view.getUint8(this.#take(1));
    return size === 1 ? this.#view.getUint16(this.#take(2)) : this.#view.getUint32(this.#take(4));
  }

  #text(length: number): string {
    const from = this.#take(length);
    return TEXT.decode(this.#bytes.subarray(from, from + length));
  }

  #binary(length: number): Uint8Array {
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  #array(length: number, depth: number): readonly MsgpackValue[] {
    this.#enter(length, depth);
    const values: MsgpackValue[] = [];
    for (let index = 0; index < length; index += 1) values.push(this.value(depth + 1));
    return values;
  }

  #map(length: number, depth: number): ReadonlyMap<MsgpackValue, MsgpackValue> {
    this.#enter(length * 2, depth);
    const values = new Map<MsgpackValue, MsgpackValue>();
    for (let index = 0; index < length; index += 1) {
      const key = this.value(depth + 1);
      values.set(key, this.value(depth + 1));
    }
    return values;
  }

  #enter(elements: number, depth: number): void {
    if (depth >= MAX_DEPTH) throw new MsgpackError(`more than ${MAX_DEPTH} levels`);
    if (elements > this.#bytes.length - this.#at) throw new MsgpackError("it is cut");
  }

  /** The place of the next bytes. */
  #take(count: number): number {
    const from = this.#at;
    if (count > this.#bytes.length - from) throw new MsgpackError("it is cut");
    this.#at = from + count;
    return from;
  }
}

function asSafe(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
