/** Tables of a vocabulary in shared memory. All threads read them; no thread writes them once they are made. */
export interface VocabularyTables {
  /** The tokens in UTF-8, by id. */
  readonly bytes: Uint8Array;
  /** Index in `bytes` where the token of each id begins; the next entry is its end. One entry more than there are ids. */
  readonly offsets: Uint32Array;
  /** Open-addressed table from the hash of a token to its id + 1; 0 is empty. A power of two, at most half full. */
  readonly slots: Int32Array;
  readonly size: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function sharedUint32(length: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(length * 4));
}

/** Allocates `length` integers in shared memory. */
export function sharedInt32(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(length * 4));
}

function hashOf(bytes: Uint8Array, from: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let index = from; index < end; index += 1) hash = Math.imul(hash ^ (bytes[index] ?? 0), 0x01000193);
  return hash ^ (hash >>> 15);
}

/** `tokens` has the id of each token. Costs about 0.5 µs a token. */
export function buildVocabulary(tokens: Readonly<Record<string, number>>): VocabularyTables {
  const byId: string[] = [];
  const entries = Object.entries(tokens);
  for (const [token, id] of entries) byId[id] = token;
  const offsets = sharedUint32(byId.length + 1);
  let total = 0;
  for (const token of byId) total += token === undefined ? 0 : Buffer.byteLength(token);
  const bytes = new Uint8Array(new SharedArrayBuffer(total));
  const slots = sharedInt32(2 ** Math.ceil(Math.log2(Math.max(2, entries.length * 2))));
  let at = 0;
  for (let id = 0; id < byId.length; id += 1) {
    const token = byId[id];
    if (token !== undefined) {
      const encoded = encoder.encode(token);
      bytes.set(encoded, at);
      at += encoded.length;
      claimSlot(slots, hashOf(encoded, 0, encoded.length), id);
    }
    offsets[id + 1] = at;
  }
  return { bytes, offsets, slots, size: entries.length };
}

function claimSlot(slots: Int32Array, hash: number, id: number): void {
  const mask = slots.length - 1;
  let slot = hash & mask;
  while (slots[slot] !== 0) slot = (slot + 1) & mask;
  slots[slot] = id + 1;
}

/** Looks up tokens by id and ids by token. */
export class Vocabulary {
  readonly #bytes: Uint8Array;
  readonly #offsets: Uint32Array;
  readonly #slots: Int32Array;
  /** Number of tokens. */
  readonly size: number;
  /** Smallest number that is larger than every id. */
  readonly idBound: number;

  constructor(tables: VocabularyTables) {
    this.#bytes = tables.bytes;
    this.#offsets = tables.offsets;
    this.#slots = tables.slots;
    this.size = tables.size;
    this.idBound = tables.offsets.length - 1;
  }

  tokenOf(id: number): string | undefined {
    const from = this.#offsets[id];
    const end = this.#offsets[id + 1];
    // Ids without characters are gaps in the vocabulary.
    if (from === undefined || end === undefined || from === end) return undefined;
    return decoder.decode(this.#bytes.slice(from, end));
  }

  /** Bytes of the longest token as the vocabulary writes it; at least as many as the token's characters. */
  get longestToken(): number {
    let longest = 1;
    for (let id = 0; id < this.idBound; id += 1) {
      longest = Math.max(longest, (this.#offsets[id + 1] ?? 0) - (this.#offsets[id] ?? 0));
    }
    return longest;
  }

  has(id: number): boolean {
    return (this.#offsets[id + 1] ?? 0) > (this.#offsets[id] ?? 0);
  }

  idOf(token: string): number | undefined {
    const bytes = encoder.encode(token);
    return this.find(bytes, bytes.length);
  }

  /** Id of the token whose UTF-8 is the first `length` bytes. */
  find(bytes: Uint8Array, length: number): number | undefined {
    const mask = this.#slots.length - 1;
    let slot = hashOf(bytes, 0, length) & mask;
    for (;;) {
      const id = (this.#slots[slot] ?? 0) - 1;
      if (id < 0) return undefined;
      if (this.#isToken(id, bytes, length)) return id;
      slot = (slot + 1) & mask;
    }
  }

  #isToken(id: number, bytes: Uint8Array, length: number): boolean {
    const from = this.#offsets[id] ?? 0;
    if ((this.#offsets[id + 1] ?? 0) - from !== length) return false;
    for (let index = 0; index < length; index += 1) if (this.#bytes[from + index] !== bytes[index]) return false;
    return true;
  }
}
